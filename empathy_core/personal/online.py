"""E-mail addresses, and web addresses and handles that lead to a person's profile. Pure."""

from collections.abc import Iterator

import regex  # type: ignore[import-untyped]  # has no stubs

from empathy_core.personal.spans import Span, groups

EMAIL_HINTS = (r"@|(?i:[\[(]\s?at\s?[\])])",)
_AT = r"(?:@|\s?[\[(]\s?at\s?[\])]\s?)"
_DOT = r"(?:\.|\s?[\[(]\s?dot\s?[\])]\s?)"
_EMAIL = regex.compile(
    rf"(?<![\w.+%-])(?P<found>[\w][\w.+%'-]{{0,63}}{_AT}(?:[\w-]{{1,63}}{_DOT}){{1,5}}\p{{L}}{{2,24}})"
    r"(?![\w-])",
    regex.IGNORECASE,
)

PROFILE_HINTS = (  # apart, since each is looked for by its first letters
    r"@|://",
    r"#\d{4}",
    r"(?i:\.com/|\.me/|\.gg/)",
    r"(?i:u/)",
    r"(?i:insta|twitter|tiktok|whatsapp|reddit)[^:]*:",
    r"(?i:kik|snap|discord|telegram|skype)[^:]*:",
)
_SITES = (
    "facebook", "fb", "instagram", "twitter", "x", "tiktok", "linkedin", "youtube", "reddit",
    "snapchat", "tumblr", "pinterest", "telegram", "vk", "twitch", "github", "medium", "onlyfans",
    "soundcloud",
)  # fmt: skip
_NO_PERSON = (
    "groups", "events", "pages", "watch", "hashtag", "search", "share", "sharer", "intent", "r",
    "playlist", "results", "explore", "company", "jobs", "p", "reel", "status", "policies",
    "help", "about", "terms", "privacy", "home", "embed", "shorts",
)  # fmt: skip
_NAME = r"[\w.-]{2,40}"
_PATH = (
    rf"(?:(?:in|pub|user|users|u|add|people|channel|c|profile)/)?@?(?!(?:{'|'.join(_NO_PERSON)})\b)"
)
_APPS = "insta|instagram|snap|snapchat|discord|kik|telegram|skype|twitter|tiktok|whatsapp|reddit"
_PROFILES = tuple(
    regex.compile(pattern, regex.IGNORECASE)
    for pattern in (
        rf"(?<![\w.-])(?P<found>(?:https?://)?(?:[a-z]{{1,3}}\.)?(?:{'|'.join(_SITES)})\.com/"
        rf"{_PATH}{_NAME}(?<![.-]))",
        rf"(?<![\w.-])(?P<found>(?:https?://)?(?:t\.me|wa\.me|discord\.gg|paypal\.me)/{_NAME}(?<![.-]))",
        # anywhere: an address that names its user
        rf"(?P<found>https?://(?:[^\s/@]{{1,60}}@[^\s]{{1,200}}|[^\s/]{{1,100}}/(?:[^\s]{{0,100}}/)?"
        rf"(?:~|users?/|profiles?/|people/){_NAME}(?<![.-])))",
        r"(?<![\w@/.&])(?P<found>@(?=\w*\p{L})\w[\w.]{1,28}\w)(?![\w@])",
        r"(?<![\w/])(?P<found>/?u/[\w-]{3,20})\b",
        r"(?<![\w#])(?P<found>[\w.]{2,32}#\d{4})\b",
        rf"\b(?:{_APPS})(?: (?:id|handle|name|user ?name|account))?(?: is)?: ?@?"
        rf"(?P<found>(?![\w.-]*:)[\w.-]{{3,30}}(?<![.-]))",
    )
)


def emails(text: str) -> Iterator[Span]:
    """Yield where addresses of e-mail stand; ``name [at] example [dot] org`` is one, too."""
    if any(sign in text for sign in "@[("):
        yield from groups(_EMAIL, text)


def profiles(text: str) -> Iterator[Span]:
    """Yield where profiles of social sites, handles and web addresses with a user's name stand."""
    for pattern in _PROFILES:
        yield from groups(pattern, text)
