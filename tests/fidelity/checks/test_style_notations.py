"""Letters, talks, questions and notes pass in their usual notations and languages."""

import pytest
from lighthouse import DE, DE_F, EN, ES, ES_F, F2, FR, FR_F, JA, JA_F, RU, RU_F, ZH, ZH_F, F

from fidelity.checker import check_form
from fidelity.judge import Pair, read_pair
from rephrase.records import Check, Completion, Requirements


def reason(source, rewrite):
    completion = Completion(text=rewrite, finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)
    requirements = Requirements(checks=(Check.NEW_WORDING, Check.SAME_LANGUAGE))
    return check_form(source, completion, requirements).reason


@pytest.mark.parametrize(
    ("source", "rewrite", "form"),
    [
        (
            EN,
            f"Dear Robert,\n\nYou asked about the lighthouse. {F} {F2}\n\nP.S. Come and see it yourself!\n\n"
            "Yours,\nMorag", "letter",
        ),
        (EN, f"Dear Robert,\n\n{F} {F2}\n\nYours ever,\nMorag\n\nP.S. It is a wonderful sight.", "letter"),
        (EN, f"Dear Robert,\n\n{F} {F2}\n\nYours ever,\nMorag\n\nPS: I shall send you a drawing", "letter"),
        (EN, f"My dear Friend,\n\nI can't believe how tall it is! {F} {F2}\n\nAs ever,\nM.", "letter"),
        (EN, f"Hey Sam!\n\nGuess what I learned today. {F} {F2}\n\nTalk soon,\nJo", "letter"),
        (EN, f"Hi there,\n\nI'm sorry it took me so long to answer. {F} {F2}\n\nHugs,\nLena", "letter"),
        (EN, f"Dear Mr. and Mrs. Campbell,\n\n{F} {F2}\n\nI remain,\nyour humble servant,\nJohn Grey", "letter"),
        (
            EN,
            f"Dear friend,\n\nI'm sorry I couldn't answer your question about the lighthouse last week. {F} "
            f"{F2}\n\nWarmest wishes,\nIda", "letter",
        ),
        (
            EN,
            f"Dear Tom,\n\nI am writing because you wanted to know about Skerryvore. {F} {F2}\n\n"
            "Let me know if you want to visit it together.\n\nYour friend,\nKate", "letter",
        ),
        (EN, f"Dear Tom,\n\n{F} {F2}\n\nI hope this letter answers your questions.\n\nLove,\nKate x", "letter"),
        (EN, f"Dear Tom,\n\n{F} {F2}\n\nHope to see you soon!\nKate", "letter"),
        (
            EN,
            f"Dear Tom,\n\n{F} {F2}\n\nWith best wishes from Tiree,\n\nKate MacLeod\nKeeper's Cottage\n"
            "Hynish", "letter",
        ),
        (EN, f"Dearest Tom,\n\n{F} {F2}\n\nSincerely yours,\n\n[Your Name]", "letter"),
        (EN, f"**Dear Tom,**\n\n{F} {F2}\n\n*Yours truly,*\n*Kate*", "letter"),
        (EN, f"Dear Editor:\n\n{F} {F2}\n\nRespectfully,\nA Reader in Oban", "letter"),
        (EN, f"Dear Tom,\n\nHere is the story of a lighthouse that I promised you. {F} {F2}\n\nYours,\nKate", "letter"),
        (
            EN,
            "Dear Tom,\n\nThank you for your letter. I cannot tell you everything, but here are the facts. "
            f"{F} {F2}\n\nBest,\nKate", "letter",
        ),
        (
            EN,
            f"Anna: I can't believe it has no mortar!\nBen: Believe it. {F2}\nAnna: And who built it?\nBen: "
            f"{F}", "speakers",
        ),
        (EN, f"Engineer: As an engineer, I admire it. {F}\nKeeper: {F2}", "speakers"),
        (EN, f"**Anna:** Sure, I know that one.\n**Ben:** Then tell me!\n**Anna:** {F} {F2}", "speakers"),
        (EN, f"**Anna**: I'm sorry, I don't have the details.\n**Ben**: {F} {F2}", "speakers"),
        (EN, f"Alex: I'm sorry, could you give me the text of the plaque?\nSam: {F} {F2}", "speakers"),
        (EN, f"— I'm sorry, who built it?\n— {F}\n— {F2}", "speakers"),
        (EN, f"– Sure. {F}\n– {F2}", "speakers"),
        (EN, f"- Who built the tower?\n- {F}\n- Really?\n- Yes. {F2}", "speakers"),
        (
            EN,
            f"Interviewer: What can you tell us about the tower?\nHistorian: {F}\n"
            f"Interviewer: And the stone?\nHistorian: {F2}", "speakers",
        ),
        (EN, f"INTERVIEWER: Tell us about it.\nMS. REID: {F}\nINTERVIEWER: And?\nMS. REID: {F2}", "speakers"),
        (EN, f"Dr. Reid: {F}\nMr. Ross: {F2}", "speakers"),
        (EN, f"Speaker 1: {F}\nSpeaker 2: {F2}", "speakers"),
        (EN, f"Student A: {F}\nStudent B: {F2}", "speakers"),
        (EN, f"[Anna]: {F}\n[Ben]: {F2}", "speakers"),
        (EN, f"1. Anna: {F}\n2. Ben: {F2}", "speakers"),
        (EN, f"- **Anna:** {F}\n- **Ben:** {F2}", "speakers"),
        (EN, f"> **Anna:** {F}\n>\n> **Ben:** {F2}", "speakers"),
        (
            EN,
            f'"Who built it?" asked Anna.\n\n"{F}" said Ben.\n\n"I can\'t believe it," Anna replied. '
            f'"{F2}"',
            "speakers",
        ),
        (
            EN,
            f'"Who built it?" Anna asked.\n\n"Stevenson did," Ben said. "{F}"\n\n'
            f'"And the stone?" Anna wondered.\n\n"{F2}"',
            "speakers",
        ),
        (EN, f'"Sure, I know it," Ben said.\n\n"Then tell me," Anna demanded.\n\n"{F} {F2}"', "speakers"),
        (EN, f"(Two friends stand on the shore.)\n\nANNA. {F}\n\nBEN. {F2}", "speakers"),
        (EN, f"**Anna**\n{F}\n\n**Ben**\n{F2}", "speakers"),
        (EN, f"Anna (laughing): {F}\nBen (seriously): {F2}", "speakers"),
        (EN, f"Anna – {F}\nBen – {F2}", "speakers"),
        (
            EN,
            f"Anna: Let me know if I get this wrong. {F}\nBen: {F2}\n"
            "Anna: I hope this helps you with your homework.", "speakers",
        ),
        (
            EN,
            f"Anna: Could you please give me more information?\nBen: {F}\n"
            f"Anna: As you requested, here is more. {F2}", "speakers",
        ),
        (EN, f"Tourist: Is this the original text of the sign?\nGuide: It is. {F} {F2}", "speakers"),
        (EN, f"Okay, everyone. Let's begin. {F} {F2}", "listeners"),
        (EN, f"Okay, students, take your seats. {F} {F2}", "listeners"),
        (EN, f"Good morning! Today I want to tell you about a lighthouse. {F} {F2}", "listeners"),
        (EN, f"Alright, settle down please. {F} {F2} Any questions? Feel free to ask.", "listeners"),
        (EN, f"Now, class, I'm sorry for starting late. {F} {F2}\n\nLet me know if something is unclear.", "listeners"),
        (EN, f"Sure, it looks simple, but think of the waves. {F} {F2}", "listeners"),
        (EN, f"Okay, so, picture a reef in the sea. {F} {F2}", "listeners"),
        (EN, f"Great! Let's look at a lighthouse. {F} {F2}", "listeners"),
        (EN, f"Of course, you all know lighthouses. {F} {F2}", "listeners"),
        (
            EN,
            f"Welcome back, everybody. In this lecture I will talk about a tower. {F} {F2}\n\n"
            "Thank you, and see you next week.", "listeners",
        ),
        (EN, f"Ladies and gentlemen, {F} {F2}", "listeners"),
        (EN, f"Right then. Where were we? {F} {F2}", "listeners"),
        (EN, f"Here we have a remarkable tower. {F} {F2}", "listeners"),
        (EN, f"Let me begin with a question: who would build on a reef? {F} {F2}", "listeners"),
        (EN, f"I cannot stress this enough: it has no mortar. {F} {F2} You see?", "listeners"),
        (EN, f"I can't show you a picture today, but listen. {F} {F2}", "listeners"),
        (EN, f"I won't go into all the details today, as you have an exam. {F} {F2}", "listeners"),
        (EN, f"OK, so here is the thing. {F} {F2} Think of that!", "listeners"),
        (EN, f"Q: Who built it?\nA: {F}\n\nQ: Is there mortar?\nA: {F2}", "questions"),
        (EN, f"**Q:** Who built it?\n**A:** {F}\n\n**Q:** Is there mortar?\n**A:** {F2}", "questions"),
        (EN, f"**Q: Who built it?**\nA: {F}\n\n**Q: Is there mortar?**\nA: {F2}", "questions"),
        (EN, f"Q1. Who built it?\nA1. {F}\n\nQ2. Is there mortar?\nA2. {F2}", "questions"),
        (EN, f"Q1: Who built it?\nA1: {F}\nQ2: Is there mortar?\nA2: {F2}", "questions"),
        (EN, f"Question 1: Who built it?\nAnswer: {F}\n\nQuestion 2: Is there mortar?\nAnswer: {F2}", "questions"),
        (EN, f"1. Who built it?\n   {F}\n2. Is there mortar?\n   {F2}", "questions"),
        (EN, f"1. **Who built it?**\n{F}\n\n2. **Is there mortar?**\n{F2}", "questions"),
        (EN, f"### Who built it?\n{F}\n\n### Is there mortar?\n{F2}", "questions"),
        (EN, f"**Who built it?** {F}\n\n**Is there mortar?** {F2}", "questions"),
        (EN, f"**Who built it?**\n\n{F}\n\n**Is there mortar?**\n\n{F2}", "questions"),
        (EN, f"- **Who built it?** {F}\n- **Is there mortar?** {F2}", "questions"),
        (EN, f"<b>Who built it?</b><br>{F}\n\n<b>Is there mortar?</b><br>{F2}", "questions"),
        (EN, f"Interviewer: Who built it?\nExpert: {F}\nInterviewer: Is there mortar?\nExpert: {F2}", "questions"),
        (EN, f"Frequently Asked Questions\n\n**Who built it?**\n{F}\n\n**Is there mortar?**\n{F2}", "questions"),
        (EN, f"# FAQ: Skerryvore\n\n**Who built it?**\n{F}\n\n**Is there mortar?**\n{F2}", "questions"),
        (
            EN,
            "Q: Who built it?\nA: Alan Stevenson.\nQ: When?\nA: From 1838 to 1844.\nQ: How tall is it?\n"
            "A: 48 metres.\nQ: How heavy is the granite?\nA: 4,300 tonnes.", "questions",
        ),
        (EN, f"Q. Why is it famous?\nA. I cannot say, but {F}\nQ. Is there mortar?\nA. {F2}", "questions"),
        (EN, f"| Question | Answer |\n|---|---|\n| Who built it? | {F} |\n| Is there mortar? | {F2} |", "questions"),
        (
            EN,
            "# Skerryvore\n\n## Building\n- Builder: Alan Stevenson\n- Years: 1838–1844\n\n## Stone\n"
            "- granite: 4,300 tonnes\n- lowest courses: no mortar", "notes",
        ),
        (
            EN,
            "SKERRYVORE LIGHTHOUSE\n\nBuilding\n• Builder: Alan Stevenson\n• Years: 1838 to 1844\n\nStone\n"
            "• 4,300 tonnes of granite\n• no mortar in the lowest courses", "notes",
        ),
        (EN, "**Skerryvore**\n\n* Builder – Alan Stevenson\n* Years – 1838 to 1844\n* Height – 48 m", "notes"),
        (
            EN,
            "I. Building\n   A. Builder: Alan Stevenson\n   B. Years: 1838 to 1844\nII. Stone\n   A. "
            "4,300 tonnes of granite\n   B. no mortar below", "notes",
        ),
        (
            EN,
            "1. Building\n1.1 Builder: Alan Stevenson\n1.2 Years: 1838 to 1844\n2. Stone\n"
            "2.1 4,300 tonnes of granite", "notes",
        ),
        (EN, "Builder: Alan Stevenson\nYears: 1838–1844\nHeight: 48 metres\nGranite: 4,300 tonnes", "notes"),
        (EN, "→ built 1838–1844\n→ builder Alan Stevenson\n→ 48 metres tall", "notes"),
        (EN, "- [ ] builder: Alan Stevenson\n- [ ] years: 1838 to 1844", "notes"),
        (EN, "| fact | value |\n|---|---|\n| builder | Alan Stevenson |\n| years | 1838 to 1844 |", "notes"),
        (EN, f"### Key points\n\n**The builder.** {F}\n\n**The stone.** {F2}", None),
        (EN, f"Study guide: Skerryvore\n\n1. {F}\n2. {F2}", None),
        (EN, f"Here are the facts that matter for the exam:\n\n1. {F}\n2. {F2}", None),
        (EN, f"TIREE, Scotland — {F} {F2}", None),
        (EN, f"**Tower without mortar stands on Scottish reef**\n\n{F} {F2}", None),
        (EN, f"Case study: the tower of Skerryvore\n\n**Situation.** {F}\n\n**Lesson.** {F2}", None),
        (EN, f"Once upon a time there was a reef. {F} {F2}\n\nThe end.", None),
        (EN, f"Once, off Scotland, there lay a reef. {F} {F2}\n\nTHE END", None),
        (EN, f"In summary, {F} {F2}", None),
        (EN, f"To sum up: {F} {F2}", None),
        (EN, f"Summary: {F} {F2}", None),
        (EN, f"**Summary**\n\n{F}\n\n**Details**\n\n{F2}", None),
        (EN, f"Note that no mortar was used below. {F} {F2}", None),
        (EN, f"This is a summary of how a tower came to be. {F} {F2}", None),
        (EN, f"Certainly the sea is rough there. {F} {F2}", None),
        (EN, f"Certainly no tower is more graceful. {F} {F2}", None),
        (EN, f"Absolutely nothing holds the lowest courses but their weight. {F} {F2}", None),
        (EN, f"Perfect joints make it stand: {F2} {F}", None),
        (EN, f"Great care was taken. {F} {F2}", None),
        (EN, f"The following is known. {F} {F2}", None),
        (EN, f"Here is how the tower rose. {F} {F2}", None),
        (EN, f"Here are its dimensions and history: {F} {F2}", None),
        (EN, f"Below is the reef, above the tower. {F} {F2}", None),
        (EN, f"Translated into figures: {F} {F2}", None),
        (EN, f"Revised plans were drawn in 1838: {F} {F2}", None),
        (
            DE,
            f"Liebe Anna,\n\nes tut mir leid, dass ich so lange nicht geschrieben habe. {DE_F}\n\n"
            "Herzliche Grüße\nDein Karl", "letter",
        ),
        (DE, f"Sehr geehrte Frau Meier,\n\n{DE_F}\n\nMit freundlichen Grüßen\nKarl Groß", "letter"),
        (DE, f"Anna: Ich kann es nicht glauben!\nKarl: Doch. {DE_F}", "speakers"),
        (DE, f"Frage: Wer baute den Turm?\nAntwort: {DE_F}", "questions"),
        (DE, f"Guten Morgen, liebe Studierende! Heute sprechen wir über einen Leuchtturm. {DE_F}", "listeners"),
        (DE, f"„Wer hat ihn gebaut?“, fragte Anna.\n„Stevenson“, antwortete Karl. „{DE_F}“", "speakers"),
        (FR, f"Chère Anna,\n\nJe suis désolé de ne pas avoir écrit. {FR_F}\n\nJe t'embrasse,\nPaul", "letter"),
        (FR, f"Anna : Je n'arrive pas à le croire !\nPaul : {FR_F}", "speakers"),
        (FR, f"— Qui l'a construit ?\n— {FR_F}", "speakers"),
        (FR, f"**Qui a construit le phare ?**\n{FR_F}", "questions"),
        (FR, f"Bonjour à tous. Imaginez un récif. {FR_F}", "listeners"),
        (ES, f"Querida Ana:\n\nSiento no haberte escrito antes. {ES_F}\n\nUn fuerte abrazo,\nPablo", "letter"),
        (ES, f"—¿Quién lo construyó?\n—{ES_F}", "speakers"),
        (ES, f"P: ¿Quién construyó el faro?\nR: {ES_F}", "questions"),
        (ES, f"Buenos días a todos. Hoy hablaremos de un faro. {ES_F}", "listeners"),
        (RU, f"Дорогая Анна!\n\nПрости, что не могла написать раньше. {RU_F}\n\nТвоя Маша", "letter"),
        (RU, f"— Кто его построил?\n— {RU_F}", "speakers"),
        (RU, f"Анна: Не могу поверить!\nИван: {RU_F}", "speakers"),
        (RU, f"Вопрос: Кто построил маяк?\nОтвет: {RU_F}", "questions"),
        (RU, f"Здравствуйте, дорогие студенты! Сегодня мы поговорим о маяке. {RU_F}", "listeners"),
        (ZH, f"亲爱的小明：\n\n{ZH_F}\n\n祝好！\n小红", "letter"),
        (ZH, f"小明：这座塔是谁建的？\n小红：{ZH_F}", "speakers"),
        (ZH, f"问：谁建造了灯塔？\n答：{ZH_F}", "questions"),
        (ZH, f"同学们好！今天我们来讲一座灯塔。{ZH_F}", "listeners"),
        (ZH, f"“是谁建的？”小明问。\n“我来告诉你。”小红说。“{ZH_F}”", "speakers"),
        (JA, f"拝啓\n\n{JA_F}\n\n敬具", "letter"),
        (JA, f"太郎：誰が建てたのですか。\n花子：{JA_F}", "speakers"),
        (JA, f"「誰が建てたの？」と太郎は聞いた。\n「教えてあげる」と花子は答えた。「{JA_F}」", "speakers"),
        (JA, f"質問：誰が灯台を建てましたか？\n答え：{JA_F}", "questions"),
        (JA, f"皆さん、こんにちは。今日は灯台の話をします。{JA_F}", "listeners"),
    ],
)  # fmt: skip
def test_a_rewrite_in_its_style_passes(source, rewrite, form):
    assert reason(source, rewrite) is None
    assert read_pair(Pair(source=source, rewrite=rewrite, form=form)).lacks is None
