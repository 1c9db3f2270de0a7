"""What a person does with the page."""

# While a reply runs its foot is there and empty.
HEARD = "document.querySelector('.turn.last .foot').innerText.trim() && !document.querySelector('.caret')"


def address(server):
    return server.websocket_address.replace("ws://", "http://", 1)


def enter(page, server, character="mara"):
    """Open the page and choose a character."""
    page.go(address(server))
    page.until("document.querySelector('.card[data-character]')")
    page.click(f"[data-character={character}]")
    page.until("!document.getElementById('stage').hidden")
    # The stage is there before the server has opened the talk.
    page.until("(document.querySelector('.greeting')?.innerText ?? '') !== ''")


def send(page, line):
    page.focus("#line")
    page.type(line)
    page.press("Enter")


def say(page, line):
    """Say a line and wait for the reply's end."""
    before = page.js("document.querySelectorAll('.turn .line').length")
    send(page, line)
    page.until(f"document.querySelectorAll('.turn .line').length > {before} && {HEARD}")


def replies(page):
    return page.js("[...document.querySelectorAll('.reply .speech')].map((one) => one.textContent)")


def text(page, selector):
    return page.js(f"document.querySelector({selector!r}).innerText")


def notices(page):
    return page.js("[...document.querySelectorAll('.notice span')].map((one) => one.textContent)")
