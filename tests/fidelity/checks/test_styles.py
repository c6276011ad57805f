"""Styles that a recipe asks for pass: letters, conversations, lectures. What a model says about itself does not."""

import pytest
from cpu_time import ends_within

from fidelity.checker import check_form
from fidelity.checks.ending import is_complete
from fidelity.checks.form import FORM_CHECKS
from rephrase.records import Check, Completion, Requirements

SOURCE = (
    "Warsaw has been a multi-cultural city throughout its existence. In 1901 the census counted 711,988 inhabitants, "
    "of whom more than half were Catholics. Most places of worship were destroyed in the uprising of 1944."
)
# The letters, talks and remarks below stand around this faithful sentence.
F = "Many cultures always lived together in Warsaw: by the count of 1901 it had 711,988 people."


def reason(rewrite: str, source=SOURCE):
    completion = Completion(text=rewrite, finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)
    return check_form(source, completion, Requirements(checks=(Check.NEW_WORDING,))).reason


GOOD = [
    f"Dear Anna,\n\nI am sorry that I have not written sooner. {F}\n\nYours sincerely,\nTom",
    f"Dear Anna,\n\nI'm sorry I can't be there. {F}\n\nI hope this letter finds you well.\n\nWith love,\n\nTom",
    f"Dear students,\n\n{F}\n\nLet me know when you arrive.",
    f"Dear Tom,\n\nI cannot tell you how much I liked Warsaw. {F}\n\nBest wishes,\nAnna Kowalska",
    f"Anna: I can't believe that Warsaw had 711,988 people!\nTom: I'm sorry, but it did.\nAnna: {F}",
    f"**Anna:** I'm sorry, I can't help with that. What was it?\n**Tom:** {F}",
    f"Anna: Sure! {F}\nTom: Okay, so most were Catholics?",
    f'"I can\'t believe it," said Anna. "Sure!" said Tom. {F}',
    f'"Sure!" said Tom. {F}',
    f"— Sure! I can't believe it.\n— {F}\n— Feel free to look it up.",
    f"Okay, everyone. Today we talk about Warsaw. {F}",
    f"Okay! Everyone, settle down. {F}",
    f"Great, so let us begin. {F}",
    f"Alright, class: {F}",
    f"All right. {F}",
    f"Well, everyone, I'm sorry for the delay. {F}",
    f"Good morning, class! I'm sorry I'm late. {F}\n\nFeel free to ask questions.",
    f"Good evening, everyone. {F}\n\nDo you want another example? Think of Vienna.",
    f"Okay, so I can't cover everything today. {F}",
    f"I can't help but admire Warsaw. {F}",
    f"Of course, Warsaw was never the same again. {F}",
    f"Certainly, the city suffered. {F}",
    f"I cannot imagine another city like it. {F}",
    f"Mother: I am sorry, dear.\nChild: Why?\nMother: {F}",
    f"This is a version of history that Warsaw knows well. {F}",
    f"Hi Anna,\n\nI can't wait to tell you about Warsaw. {F}\n\nYour friend,\nTom",
    f"Okay, let's get started. {F}",
    f"OK folks, {F}",
    f"Sure, Warsaw was large. {F}",
    f"Q: How many people?\nA: {F}",
    f"Anna: What does it say?\nTom: {F} I hope this helps!",
    f"Here are the key points to remember:\n\n- {F}",
    f"Interviewer: Can you give us the details?\nHistorian: {F}",
    f"My dearest Anna,\n\nI can't believe it has been a year. {F}\n\nEver yours,\nTom",
    f"Dear reader: {F}",
    f"To my students,\n\n{F}\n\nWarmly,\nProfessor Lee",
    f"Warsaw, 3 May 1901\n\nDear brother,\n\n{F}\n\nYour loving sister,\nMaria",
    f"Anna: I can't do that!\nTom: Why not?\nAnna: {F}",
    f"ANNA: Sorry, I can't help with that right now.\nTOM: {F}",
    f"**Student:** Can you help me with this text?\n**Teacher:** Sure! {F}",
    f"Teacher: Of course! {F}\nStudent: I see. Let me know if there is more.",
    f'"Okay," she said. "I can\'t help you with that." {F}',
    f"“I’m sorry,” said the guide, “but I cannot answer that.” {F}",
    f"A: Sure! Where shall we begin?\nB: With the census. {F}",
    f"Person A: I'm sorry, what?\nPerson B: {F}",
    f"Okay, everyone, let's begin. {F} Any questions?",
    f"So, class, here is the thing. {F}",
    f"Alright, everyone! Today's text is the census. {F}",
    f"Hello, everyone! Thank you for coming. {F}",
    f"Okay. So. {F}",
    f"Right, let's look at Warsaw. {F}",
    f"Great! So now we know where Warsaw is. {F}",
    f"Well, well. {F}",
    f"Perfect. Now, Warsaw. {F}",
    f"Here is what happened: {F}",
    f"Here's the story of Warsaw. {F}",
    f"This is the story of Warsaw. {F}",
    f"Here are three facts about Warsaw.\n\n1. {F}",
    f"I hope that you are well.\n\n{F}",
    f"Narrator: {F}\n\n[The curtain falls]",
    f"I am sorry to say that Warsaw burned. {F}",
    f"I cannot say how many died. {F}",
    f"I can't remember a larger city. {F}",
    f"No text survives from that time, but {F}",
    f"{F}\n\nNote that the census was the first of its kind.",
    f"{F}\n\nIn this section we have learned about Warsaw.",
    f"In this lesson, we look at Warsaw. {F}",
    f"Welcome to today's lecture! {F}\n\nI hope this helps you prepare for the exam.",
    f"Dear Tom,\n\n{F}\n\nPlease feel free to write back.",
    f"Host: Welcome to the show.\nGuest: I'm sorry I'm late.\nHost: {F}",
    f"Q: I can't find Warsaw on my map. Where is it?\nA: In Poland. {F}",
    f"– Ich kann es nicht glauben!\n– {F}",
]
BAD = {
    "refusal": [
        "I'm sorry, I can't help with that request.",
        "I'm sorry, but as a language model I can't.",
        "Sorry, I cannot rewrite that.",
        "I can’t assist with that.",
        "I cannot provide a rewritten version of this text.",
        "My apologies, but I cannot complete this.",
        "I am sorry, but I am unable to fulfill your request.",
        "I regret to inform you that I cannot help with this request.",
        "It seems there is no text provided. Please provide the passage.",
        "I'm afraid I can't help with that.",
        "I am not able to rewrite this passage.",
        "I cannot comply with this request.",
        "**I'm sorry, but I can't help with that.**",
        "Note: I cannot rewrite this text.",
        "I cannot assist you with this task.",
        "Apologies, but I can't continue with this.",
        "I can’t share that content.",
        "I do not feel comfortable rewriting this.",
        "Unfortunately, I can't help with this.",
        "As a responsible AI, I cannot do so.",
        "As an AI assistant, I can't.",
        "No, I can't help with that.",
        "I will not rewrite this text.",
        "Entschuldigung, aber ich kann das nicht tun.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas não posso ajudar com isso.",
        "对不起，我不能帮助您。",
        "К сожалению, я не могу помочь.",
        "Je ne peux pas répondre à cette demande.",
        "No puedo ayudar con esa solicitud.",
        "Ich kann dabei leider nicht helfen.",
        "I'm sorry, but I can't help with that.",
        "I cannot fulfill this request.",
        "I can't assist with that request.",
        "Sorry, but I can't assist with that.",
        "I apologize, but I am not able to provide a rewrite.",
        "As an AI, I do not know the city.",
        "I'm just an AI language model.",
        "Unfortunately, I cannot rewrite this passage.",
        "I'm unable to help you with this.",
        "Dear user,\n\nI'm sorry, but I can't help with that request.",
        "I do not have access to the text.",
        "Please provide the text you would like me to rewrite.",
        "I'm sorry, could you please provide the passage?",
        "Assistant: I'm sorry, but I can't help with that.",
        "\"I'm sorry, but I can't help with that.\"",
        "A: I'm sorry, but I can't help with that.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Es tut mir leid, aber ich kann dabei nicht helfen.",
        "很抱歉，我无法满足您的要求。",
        "申し訳ありませんが、お手伝いできません。",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Извините, но я не могу помочь с этим.",
        "I will not be able to complete this task.",
        "I won't rewrite this.",
        "I must decline to answer this request.",
        "I can't do that.",
        "I'm sorry for the confusion. What do you want?",
        "I don't have enough information to rewrite this.",
        "I'm not comfortable writing about this topic.",
        "作为一个人工智能，我不能。",
        "Hello! I'm sorry, but I can't help with that.",
        "I cannot create content that is violent.",
        "I am unable to generate a response to this.",
        "I can't provide a rewritten version of that.",
    ],
    "preamble": [
        f"Sure, I can help with that! {F}",
        f"Sure! Here's a lecture:\n\nOkay, everyone. {F}",
        f"Of course. Here is the dialogue:\n\nAnna: {F}",
        f"Here is the rewritten passage.\n\n{F}",
        f"**Rewritten text:**\n\n{F}",
        f"Rewritten version:\n{F}",
        f"Here's my attempt at rewriting the text: {F}",
        f"Certainly, here is a letter:\n\nDear Anna, {F}",
        f"The following is a rewritten version:\n{F}",
        f"Here is the encyclopedia article:\n\n{F}",
        f"Sure. {F}",
        f"Alright, here's the rewritten passage: {F}",
        f"Okay, I'll rewrite the passage. {F}",
        f"Absolutely. Here's the text. {F}",
        f"### Rewritten passage\n\n{F}",
        f"Below is a rewritten version.\n\n{F}",
        f"Hier ist der umformulierte Text: {F}",
        f"Here is the translation:\n\n{F}",
        f"Sure, here you go: {F}",
        f"Sure! {F}",
        f"Sure, here is the rewritten text. {F}",
        f"Certainly! {F}",
        f"Of course! Here it is. {F}",
        f"Okay! {F}",
        f"Okay, here's a rewritten version: {F}",
        f"Absolutely! {F}",
        f"Here is a rewritten version of the passage:\n\n{F}",
        f"Here's the text in a more concise version: {F}",
        f"Rewritten passage: {F}",
        f"Great! Here is the revised text. {F}",
        f"I have rewritten the passage. {F}",
        f"Here is a conversation between two people:\n\nAnna: {F}",
        f"Below is the summary of the passage. {F}",
        f"Here is the passage rewritten as a lecture.\n\nOkay, everyone. {F}",
        f"Okay, let me rephrase that for you. {F}",
        f"Aquí tienes la versión reescrita. {F}",
        f"Voici une version reformulée. {F}",
        f"好的，以下是改写。{F}",
        f"Sure thing! {F}",
        f"Sure: {F}",
        f"As requested, {F}",
        f"Of course, I'd be happy to help. {F}",
        f"Here's a letter about Warsaw:\n\nDear Anna, {F}",
        f"Certainly. Here is the lecture. {F}",
        f"The rewritten text: {F}",
        f"Okay, everyone. Here is the rewritten lecture. {F}",
    ],
    "postscript": [
        f"{F}\n\nI hope this helps!",
        f"{F}\n\nLet me know if you want it shorter.",
        f"{F}\n\n(Note: this version keeps the numbers of the original.)",
        f"Dear Anna,\n\n{F}\n\nLet me know if you would like any changes to this letter.",
        f"Okay, everyone. {F}\n\nWould you like me to adjust the tone?",
    ],
    "about_the_text": [
        f"The passage is about Warsaw. {F}",
        f"The text then describes the uprising. {F}",
        f"The text goes on to explain. {F}",
        f"{F} The author also notes the census.",
        "The text you provided describes Warsaw.",
        "The provided passage discusses Warsaw.",
        f"The speaker describes Warsaw. {F}",
        "The paragraph states that Warsaw is old.",
        f"This article will explore Warsaw. {F}",
        "The text highlights how old Warsaw is.",
        "The above text describes Warsaw.",
        "This text is a description of Warsaw.",
        "In summary, the text describes Warsaw.",
        "Overall, the passage shows Warsaw's growth.",
        "The text can be divided into three parts.",
        "The excerpt provided discusses Warsaw.",
        "The information in the passage shows that Warsaw is old.",
        "The writer explains that Warsaw is old.",
        "This excerpt introduces Warsaw.",
        "The text mainly talks about Warsaw.",
        "The introduction of the text says that Warsaw is old.",
        f"The text introduces Warsaw. {F}",
        f"This passage explains that Warsaw is old. {F}",
        f"{F} The passage also mentions a census.",
        f"The author describes Warsaw. {F}",
        f"The article discusses Warsaw. {F}",
        f"According to the passage, Warsaw is old. {F}",
        f"Q: What does the text say about Warsaw?\nA: {F}",
        f"In this passage, the author describes Warsaw. {F}",
        f"In the text, Warsaw is old. {F}",
        "The main idea of the passage is that Warsaw is old.",
        f"The given text is about Warsaw. {F}",
        f"Anna: This text describes Warsaw.\nTom: {F}",
        f"This section explains how Warsaw grew. {F}",
        f"Der Text beschreibt Warschau. {F}",
        f"Este texto describe Varsovia. {F}",
        "The passage provides an overview of Warsaw.",
        f"This document outlines Warsaw's history. {F}",
        "As mentioned in the text, Warsaw is old.",
    ],
    "truncated": [
        "Anna went to Warsaw and\n\nTom",
        "Many cultures lived there. And then the",
        f"Dear Anna,\n\n{F}\n\nBest regards,\nTom and then we went",
        "He wrote:\n\nDear Anna,\n\nI am in",
        "华沙是一座大城市，人口",
        "Many cultures lived together in Warsaw.\nIn 1901 it had",
        "Many cultures always lived together in Warsaw, which by",
        "Dear Anna,\n\nMany cultures lived",
        f"Dear Anna,\n\n{F}\n\nYours sincerely,\nThe census had",
    ],
}


@pytest.mark.parametrize("rewrite", GOOD)
def test_the_styles_a_recipe_asks_for_pass(rewrite):
    assert reason(rewrite) is None


@pytest.mark.parametrize(("expected", "rewrite"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_what_is_no_rewrite_is_refused_with_its_reason(expected, rewrite):
    assert reason(rewrite) == expected


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ("This passage describes the river. It is long.", "The passage tells of a river, which is long."),
        ("The Treaty of Paris was signed in 1783.", "It was 1783. The text says that the war is over."),
        ("Article 5 forbids it.", "The article states that it is forbidden."),
        ("In this text we look at rivers.", "The text looks at rivers."),
        ("He sent a text message.", "The message was sent by him."),
        ("The book introduces Warsaw.", "The book presents Warsaw to its readers."),
        ("The author Jane Austen explains love.", "The author explains what love is."),
        ("本文介绍华沙。", "文章讲的是华沙，本文描述它。"),
    ],
)
def test_a_source_about_a_text_may_be_rewritten_so(source, rewrite):
    assert next((found for check in FORM_CHECKS if (found := check(source, rewrite))), None) is None


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ("The passage of the bill took two years.", "This passage explains that the bill took two years."),
        ("The passage through the mountains is narrow.", "The passage describes narrow mountains."),
        ("华沙是一座城市。", "本文介绍了一座城市华沙。"),
        ("Варшава — это город.", "Этот текст рассказывает о городе Варшава."),
    ],
)
def test_another_meaning_of_the_word_is_no_excuse(source, rewrite):
    assert next((found[0] for check in FORM_CHECKS if (found := check(source, rewrite))), None) == "about_the_text"


@pytest.mark.parametrize(
    "letter",
    [
        "Dear Anna,\n\nAll is well.\n\nYours sincerely,\nTom",
        "Dear Anna,\n\nAll is well.\n\nBest,\n\nDr. Tom Baker\nProfessor of History, University of Warsaw",
        "All is well.\n\nLove, Mama",
        "All is well.\n— Anna",
        "All is well.\n\nWith all my love,\nAnna",
        "All is well.\n\nBest regards,\n\nAnna Kowalska (historian)",
        "Hi Tom,\n\nAll is well.\n\nHopefully back soon,\nAnna",
        "Liebe Anna,\n\nalles ist gut.\n\nMit freundlichen Grüßen\nTom",
        "Дорогая Анна,\n\nвсё хорошо.\n\nС уважением,\nТом",
        "亲爱的安娜：\n\n一切都好。\n\n此致\n敬礼\n李四",
    ],
)
def test_a_letter_may_end_with_its_signature(letter):
    assert is_complete(letter)


@pytest.mark.parametrize(
    "text",
    [
        "In the best of times, Warsaw",
        "It grew.\n\nIt was the city of love, Warsaw",
        "It grew.\nBest known as the capital,\nWarsaw",
        "Dear Anna,\n\nWarsaw",
        "Dear Anna, in 1901 there were 711,988",
        " \n\n",
        "Dear Anna,\n\nAll is well.\n\nYours sincerely,\nThe city had grown",
        "It grew.\nWith his love,\nthe king",
    ],
)
def test_what_only_looks_like_a_signature_is_cut_off(text):
    assert not is_complete(text)


# One sentence in each script, as its writers end it.
@pytest.mark.parametrize(
    "text",
    [
        "ዋርሶ ትልቅ ከተማ ናት።",
        "Վարշավան մեծ քաղաք է։",
        "ཝར་ས་གྲོང་ཁྱེར་ཆེན་པོ་ཡིན།",
        "ワルシャワは大きい都市です．",
        "ワルシャワは大きい都市です｡",
        "华沙是一座大城市（人口众多）",
        "华沙是一座大城市⋯⋯",
        "他说：『华沙』",
        "वारसॉ एक बड़ा शहर है।",
        "وارسو بڑا شہر ہے۔",
        "هل وارسو مدينة؟",
        "Варшава — большой город…",
        "Er sagte: „Warschau ist groß.“",
        "Il a dit : « Varsovie est grande. »",
        "วอร์ซอเป็นเมืองใหญ่",
        "ວໍຊໍເປັນເມືອງໃຫຍ່",
        "វ៉ារស្សាវ៉ាជាទីក្រុងធំ។",
        "ဝါဆောသည် မြို့ကြီးဖြစ်သည်။",
        "ᠸᠠᠷᠰᠠᠪᠠ ᠶᠡᠬᠡ ᠬᠣᠲᠠ᠃",
        "Warsaw is large! 🎉",
        "Warsaw is large.¹",
    ],
)
def test_a_sentence_ends_as_its_script_ends_it(text):
    assert is_complete(text)


@pytest.mark.parametrize("text", ["华沙是一座大城市，", "ዋርሶ ትልቅ፣", "ዋርሶ፡", "مدينة،", "大きい、", "Warsaw is 🎉"])
def test_a_comma_of_any_script_ends_no_sentence(text):
    assert not is_complete(text)


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ("彼は毎日電話で話します。", "かれはスマートフォンでコミュニケーションをとります。コンピュータも。"),
        ("彼は毎日話します。", "ﾃﾚﾋﾞとﾗｼﾞｵとｺﾝﾋﾟｭｰﾀとｹｰﾀｲで話す。"),
        ("ラーメン。", "彼等は毎日中華料理店で食事中。"),
        ("这座城市很大。", "ＡＢＣ这座城市很大ＤＥＦ，人口众多。"),
    ],
)
def test_kana_are_japanese(source, rewrite):
    assert next((found for check in FORM_CHECKS if (found := check(source, rewrite))), None) is None


def test_kana_in_chinese_are_foreign():
    drifted = "这座城市很大，有很多人。" * 2 + "それはとても大きい。"
    assert reason(drifted, source="这座城市很大，人口众多，历史悠久，文化丰富。") == "script_drift"


@pytest.mark.parametrize(
    "text", ["I can't " * 20_000, "the text " * 20_000, '"' * 50_000, "Sure, " * 20_000, "A:" * 30_000, "-\n" * 50_000]
)
def test_the_checks_take_linear_time(text):
    def check_all():
        for check in FORM_CHECKS:
            check(SOURCE, text)
        is_complete(text)

    assert ends_within(5, check_all)
