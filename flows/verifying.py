"""The Prefect flow that gives verdicts on pairs of texts, or new verdicts on a finished run."""

from prefect import flow, get_run_logger

from flows.running.process import prepare_process
from flows.verification.config import VerifyConfig
from flows.verification.verify_pairs import Verification, verify_pairs


@flow(name="verify", flow_run_name="verify {config.source}", persist_result=False, validate_parameters=True)
def verify(config: VerifyConfig) -> Verification:
    """Estimate the probability that each rewrite is faithful, and show where it is not; writes one Parquet file."""
    prepare_process()
    found = verify_pairs(config)
    get_run_logger().info("%d of %d accepted: %s", found.n_accepted, found.n_pairs, found.output)
    return found
