"""English verbs as far as third person must become first: which words are verbs, and their form after "I"."""

from __future__ import annotations

import re

from npc_engine.sheets.words import WORD

_AUXILIARY = {"is": "am", "was": "was", "has": "have", "does": "do", "goes": "go"}
_AUXILIARY |= {"isn't": "am not", "hasn't": "haven't", "doesn't": "don't", "wasn't": "wasn't"}
_SAME = frozenset(
    WORD.findall(
        "had did will would can could must should cannot can't couldn't won't wouldn't shouldn't hadn't didn't"
    )
)
# Verbs whose past does not end in -ed.
_IRREGULAR = frozenset(
    WORD.findall(
        "arose ate awoke beat became began bent bet bit bled blew bought bound bred broke brought built burnt "
        "burst came cast caught chose clung crept cut dealt drank drew dreamt drove dug fed fell felt fled flew "
        "forbade forgave forgot fought found froze gave ground grew held hid hit hung hurt kept knelt knew laid "
        "learnt led left lent let lost lay made meant met mistook overcame overheard overthrew paid put quit ran "
        "rang read rebuilt rode rose said sang sank sat saw sent set sewed shook shone shot shrank shut slept "
        "slid sold sought spent spoke spread sprang stole stood stuck struck stung swam swept swore taught "
        "thought threw told took tore undertook understood upheld went wept withdrew withstood woke won wore "
        "wound wrote"
    )
)
# Verbs of people that are as often nouns in their -s form or that join another verb: base forms.
COMMON = frozenset(
    WORD.findall(
        "accept act admire adore advise agree answer appear argue arrange arrive ask aspire attend avoid bake be "
        "become begin believe belong blend bring build burn buy call calm care carry charge choose clean climb "
        "collect combine come complain consider contribute control cook count craft create cure cut dance dare "
        "deal decide defend deliver demand deny depend despise detect develop devote dig discover dislike do "
        "doodle draw dream dress drink drive earn eat embed employ encourage end enjoy explore express face fail "
        "fear feed feel fight fill find finish fish fix follow forget forgive fulfil gain gather get give go grow "
        "guard guide hate have heal hear help hide hold hope hum hunt ignore imagine incorporate insist inspire "
        "invent invite join judge keep kill know lack laugh lead learn leave lend lie like listen live look lose "
        "love maintain make manage mark marry masks meet mend mentor mind miss move need notice offer own paint "
        "pay perform plan play possess practise practice prefer prepare pretend prioritize promise protect prove "
        "publish push put quarrel raise reach read reassure recall recover refuse regret rely remain remember "
        "repair reply rescue resent respect rest return ride rise rule run save say search see seek sell send "
        "serve set sew share shoot show sing sit sketch sleep smile smoke smoke solve speak spend stand stay "
        "steal strive struggle study suffer support suspect swear take talk teach tell tend think trade train "
        "travel treat trust try turn understand use value visit wait wake walk want warn wash watch wear whistle "
        "win wish wonder work worry worship wrestle write"
    )
)
# Of these, those whose -s form is no noun: they join another verb even behind a plural.
ONLY_VERBS = COMMON & frozenset(
    WORD.findall(
        "accept admire agree appear argue arrive become begin believe belong bring buy collect contain create decide "
        "deliver depend despise discover dislike do eat embed employ enjoy explore feel forget forgive gather get give "
        "go grow have heal hear imagine insist invent keep know learn leave live lose make meet mend own pay perform "
        "prefer prepare pretend protect prove read refuse rely remember resent say see seek sell send serve set sing "
        "speak spend stay steal suffer take teach tell think try understand want wear win write"
    )
)
# What people do all day in a story, and no writer would list.
TRIVIAL = frozenset(
    WORD.findall(
        "walk look smile turn nod stand sit go come open close ask hear see take put say reply answer whisper "
        "shout laugh sigh shrug point lean step run reach pick pull push climb stop start begin wait watch listen "
        "glance stare lift lower pause hesitate follow return leave stay lie kneel rise wake eat drink pour set "
        "drop hold hand speak tell call cry breathe blink frown grin swallow wipe knock hurry feel find try shake "
        "lay throw tie"
    )
)
_TRIVIAL_PAST = frozenset(
    WORD.findall(
        "stood sat went came heard saw took put said ran began left lay knelt rose woke ate drank set held spoke "
        "told felt found shook laid threw got"
    )
)
_NOT_VERBS = re.compile(r"less|its|this|his|hers|yes|ours|always|besides|towards|perhaps|as|us|plus|thus")
ADVERB = re.compile(
    r"\w+ly|always|never|often|also|still|rarely|sometimes|seldom|only|now|once|then|soon|later|first|even|just|ever|"
    r"already|again|thus|therefore|almost|quite|very|too"
)


def first_person(word: str) -> str | None:
    """A third-person verb's form after "I"; None where the word is no finite verb that these rules know."""
    lower = word.lower()
    if lower in _AUXILIARY:
        return _AUXILIARY[lower]
    if lower in _SAME or lower in _IRREGULAR or is_regular_past(lower):
        return lower
    return base_of(lower)


def base_of(word: str) -> str | None:
    """The base of a present-tense form in -s; None where it is none."""
    if word in _AUXILIARY:
        return _AUXILIARY[word]
    if not re.fullmatch(r"[a-z-]{2,}s", word) or _NOT_VERBS.fullmatch(word) or word.endswith(("ss", "us")):
        return None
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "cuses")):
        return word[:-2]
    return word[:-1]


def is_regular_past(word: str) -> bool:
    """Whether a word ends as regular verbs do in the past."""
    return bool(re.fullmatch(r"[a-z-]{2,}ed", word)) and word not in ("need", "seed", "speed", "indeed", "hundred")


def is_past(word: str) -> bool:
    """Whether a word is a verb in the past."""
    return word in _IRREGULAR or is_regular_past(word) or word in ("was", "had", "did")


def is_trivial(word: str) -> bool:
    """Whether a verb form names one of the things that people do all day."""
    if word in _TRIVIAL_PAST:
        return True
    base = re.sub(r"(?<=[a-z]{2})ed$", "", word)
    forms = {base, base + "e", base_of(word) or word, re.sub(r"([a-z])\1$", r"\1", base), re.sub(r"i$", "y", base)}
    return bool(forms & TRIVIAL)
