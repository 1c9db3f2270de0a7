"""The page in a real browser, before a real engine of tiny models."""

import json

import pytest

from npc_engine.playtest.scenarios.schema import ScenarioFile
from npc_engine.playtest.web import page_files
from npc_engine.sheets.controls import ControlOverrides
from npc_engine.sheets.yaml_reader import read_yaml
from tests.playtest.web.talking import HEARD, address, enter, notices, replies, say, send, text
from tests.talk import CALL_RING, MARA, RING, mara
from tools.chromium import chromium_page, find_chromium

PRICE = "What does a sword cost?"


@pytest.fixture
def price_model(brancher):
    return brancher(["A sword", " costs forty", " crowns."], ["Forty", " it is,", " traveller."])


@pytest.fixture
def slow_model(reciter):
    """Goes on for as long as it may."""
    return reciter("Forty", " and", again_from=1)


def hear(page, before=0):
    page.until(f"document.querySelectorAll('.turn .line').length > {before} && {HEARD}")


def press_button(page, label):
    buttons = "[...document.querySelectorAll('.turn.last button')]"
    page.js(f"{buttons}.find((one) => one.innerText === {json.dumps(label)}).click()")


def test_a_character_is_chosen_and_talked_to(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        assert "Come in." in text(page, ".greeting")
        say(page, PRICE)
        assert "crowns" in replies(page)[-1] or "Forty" in replies(page)[-1]
        assert page.js("document.activeElement.id") == "line"
        trace = text(page, "#trace")
        assert "A sword costs forty crowns." in trace
        assert "price-sword" in trace
        assert "Verdicts" in trace
        assert "Latency" in trace
        # Whole sentences are announced to those who do not see them.
        assert text(page, "#announce")


def test_nothing_comes_from_elsewhere(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        say(page, PRICE)
        assert {one.split("/")[2] for one in page.requests if not one.startswith(("data:", "about:"))} == {
            address(server).split("/")[2]
        }


def test_the_same_line_is_heard_again_under_other_controls(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        say(page, PRICE)
        page.click("#tab-controls")
        page.js(
            "(() => { const slider = document.getElementById('control-role_play'); slider.value = 0.1;"
            " slider.dispatchEvent(new Event('change')); })()"
        )
        page.until("document.querySelector('.control.own')")
        assert "in force on every route: 0.1" in text(page, ".control.own")
        page.click("#controls .primary")
        page.until(f"document.querySelectorAll('.column').length === 2 && {HEARD}")
        left, right = page.js("[...document.querySelectorAll('.column .what')].map((one) => one.innerText)")
        assert "role play as in the sheet" in left
        assert "role play 0.1" in right
        assert "seed" not in left + right
        # One turn is left at the server, whatever was heard of it.
        page.click("#tab-talk")
        say(page, "And a dagger?")
        assert page.js("document.querySelectorAll('.turn .line').length") == 2


def test_the_same_seed_and_controls_give_the_same_words(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model, temperature=1.0) as server:
        enter(page, server)
        say(page, PRICE)
        first = replies(page)[-1]
        press_button(page, "Again, same seed")
        page.until(f"document.querySelectorAll('.column').length === 2 && {HEARD}")
        assert replies(page)[-2:] == [first, first]
        assert page.js("document.querySelectorAll('mark').length") == 0


def test_a_turn_is_taken_back_and_its_line_stands_in_the_box(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        say(page, PRICE)
        press_button(page, "Take back")
        page.until("document.querySelectorAll('.turn .line').length === 0")
        assert page.js("document.getElementById('line').value") == PRICE


def test_state_and_events_reach_the_character(page, page_server, sheet, price_model):
    asked = "Where does the hidden treasure lie?"
    with page_server(sheet, model=price_model, guard="off") as server:
        enter(page, server)
        page.click("#tab-game")
        page.js(
            "(() => { document.getElementById('state-trust').value = 60;"
            " document.getElementById('state-flags').value = 'war, rain'; })()"
        )
        page.click("#game form .primary")
        page.until("document.querySelector('#game .meta').innerText.includes('\"trust\":60')")
        page.focus("#event")
        page.type("The mill burned down.")
        page.js("[...document.querySelectorAll('#game button')].find((one) => one.innerText === 'It happened').click()")
        page.until("document.querySelectorAll('#game .plain-list li').length === 1")
        page.click("#tab-trace")
        say(page, asked)
        assert "treasure" in text(page, "#trace .facts")
        say(page, "Did the mill burn down?")
        assert "The mill burned down." in text(page, "#trace .facts")


@pytest.mark.parametrize("value", ["siege", "siege:two"])
def test_a_wrong_state_is_a_coded_error_and_changes_nothing(page, page_server, sheet, price_model, value):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        page.click("#tab-game")
        page.js(f"document.getElementById('state-quests').value = {json.dumps(value)}")
        page.click("#game form .primary")
        page.until("document.querySelector('.notice')")
        assert notices(page)[0].startswith("NPC309")
        assert page.js("document.getElementById('state-quests').value") == value
        say(page, PRICE)


def test_an_action_is_answered_by_hand(page, page_server, sheet, reciter):
    with page_server(sheet, model=reciter("It rang.", call=CALL_RING)) as server:
        enter(page, server)
        page.click("#tab-game")
        page.click("#answers-ask")
        send(page, RING)
        page.until("document.querySelector('.question')")
        page.js("document.querySelector('.question input').value = 'no json'")
        page.click(".question .primary")
        assert text(page, ".question .wrong")
        page.js("document.querySelector('.question input').value = '{\"tone\": \"low\"}'")
        page.click(".question .primary")
        hear(page)
        assert '{"tone":"low"}' in text(page, ".turn.last .actions")
        page.click("#answers-refuse")
        say(page, RING)
        page.until("document.querySelector('.turn.last .actions').innerText.includes('refused')")


def test_tags_in_a_characters_words_stay_text(page, page_server, price_model, tmp_path):
    tagged = "<img src=x onerror=\"document.title='hurt'\"><b>bold</b>"
    sheet = mara(
        tmp_path,
        ("greeting: Come in.", f"greeting: {json.dumps(tagged)}"),
        ("role: weapon seller", "role: <i>seller</i>"),
        ("No dragons here.", "<script>alert(1)</script> none."),
        ("Never saw one.", "<script>alert(2)</script> none."),
        ("A sword costs forty crowns.", "A sword costs <u>forty</u> crowns."),
    )
    with page_server(sheet, model=price_model, guard="off") as server:
        page.go(address(server))
        page.until("document.querySelector('.card[data-character]')")
        assert "<i>seller</i>" in text(page, ".card")
        enter(page, server)
        assert tagged in text(page, ".greeting")
        say(page, "Is there a dragon here?")
        assert "<script>" in replies(page)[-1]
        say(page, "<img src=x onerror=\"document.title='hurt'\">")
        say(page, PRICE)
        assert "<u>forty</u>" in text(page, "#trace .facts")
        assert page.js("document.querySelectorAll('main img, #log b, main i, main u, main script').length") == 0
        assert "hurt" not in page.js("document.title")


def test_keys(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        say(page, "First line.")
        say(page, "Second line.")
        for key, value in (("ArrowUp", "Second line."), ("ArrowUp", "First line."), ("ArrowDown", "Second line.")):
            page.press(key)
            assert page.js("document.getElementById('line').value") == value
        page.press("Enter", "Shift")
        assert page.js("document.getElementById('line').value.includes('\\n')")
        # What is being typed is not thrown away.
        page.press("ArrowDown")
        page.press("ArrowUp")
        assert page.js("document.getElementById('line').value").startswith("Second line.")
        page.focus("#tab-trace")
        page.press("ArrowRight")
        assert page.js("document.activeElement.id") == "tab-controls"
        assert page.js("getComputedStyle(document.getElementById('controls')).display") != "none"
        assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_escape_stops_a_reply(page, page_server, sheet, slow_model):
    with page_server(sheet, model=slow_model, guard="off", max_words=300, max_sentences=12) as server:
        enter(page, server)
        send(page, PRICE)
        page.until(
            "document.querySelector('.caret') && document.querySelector('.turn.last .speech').innerText.length > 4"
        )
        page.press("Escape")
        hear(page)
        assert "cancelled" in text(page, ".turn.last .foot")
        say(page, "Go on.")


def test_what_is_refused_stands_in_the_box_again(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        for size, code in ((2500, "NPC305"), ((1 << 20) + 10, "NPC206")):
            page.js(f"document.getElementById('line').value = 'x'.repeat({size})")
            page.focus("#line")
            page.type("y")
            assert f"{size + 1:,} of 2,000 characters" in text(page, "#count")
            page.press("Enter")
            page.until(f"[...document.querySelectorAll('.notice')].some((one) => one.innerText.includes('{code}'))")
            assert page.js("document.getElementById('line').value.length") == size + 1
        assert page.js("document.querySelectorAll('.turn .line').length") == 0
        page.js("document.getElementById('line').value = ''")
        say(page, PRICE)


def test_a_server_that_dies_and_one_that_comes_back(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model, page_stays=True) as server:
        enter(page, server)
        say(page, PRICE)
        port = server.websocket_address.rstrip("/").rpartition(":")[2]
    page.until("document.getElementById('link').innerText.includes('Connection lost')")
    assert notices(page)[0].startswith("NPC313")
    said = replies(page)[-1]
    send(page, "Are you there?")
    page.until("document.querySelectorAll('.notice').length > 1")
    assert page.js("document.getElementById('line').value") == "Are you there?"
    with page_server(sheet, model=price_model, websocket_address=f"ws://127.0.0.1:{port}"):
        page.until("document.getElementById('link').innerText === ''")
        page.focus("#line")
        page.press("Enter")
        hear(page, before=1)
        assert said in replies(page)
        assert page.js("document.querySelectorAll('.turn.past .line').length") == 1
    # The browser itself says that the address refused it.
    page.errors[:] = [one for one in page.errors if "WebSocket connection" not in one and "ERR_" not in one]


def test_two_pages_have_talks_of_their_own(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        say(page, PRICE)
        with chromium_page(find_chromium()) as other:
            enter(other, server)
            assert other.js("document.querySelectorAll('.turn .line').length") == 0
            say(other, PRICE)
            say(page, "And a dagger?")
            assert other.js("document.querySelectorAll('.turn .line').length") == 1
            assert other.errors == []
        assert page.js("document.querySelectorAll('.turn .line').length") == 2


def test_a_bad_talk_becomes_a_scenario_that_loads(page, page_server, sheet, price_model, tmp_path):
    with page_server(sheet, model=price_model) as server:
        enter(page, server)
        page.js(
            "(() => { const make = URL.createObjectURL.bind(URL);"
            " URL.createObjectURL = (blob) => { window.kept = blob.text(); return make(blob); }; })()"
        )
        page.click("#tab-game")
        page.js("document.getElementById('state-trust').value = 7")
        page.click("#game form .primary")
        page.until("document.querySelector('#game .meta').innerText.includes('trust')")
        say(page, 'He said: "no" \\ yes')
        press_button(page, "Bad")
        page.js("document.getElementById('bad-what').value = 'it is: too short'")
        page.click("#bad .primary")
        page.until("window.kept")
        (tmp_path / "mara.yaml").write_text(page.js("window.kept"), encoding="utf-8")
    (scenario,) = ScenarioFile.model_validate(read_yaml(tmp_path / "mara.yaml").data).scenarios
    assert scenario.name == "it is: too short"
    assert scenario.state.trust == 7
    assert [step.say for step in scenario.lines] == ['He said: "no" \\ yes']
    assert scenario.never_says[0] in replies_text(scenario)


def replies_text(scenario):
    return ("A sword costs forty crowns", "Forty it is, traveller", *scenario.never_says)


def test_changed_and_broken_sheets_are_told_of(page, page_server, price_model, tmp_path):
    path = tmp_path / "mara.yaml"
    sheet = mara(tmp_path)
    with page_server(sheet, model=price_model, watch_sheets=True, sheets=(path,)) as server:
        enter(page, server)
        path.write_text(MARA.replace("A sword costs forty crowns.", "A sword costs ninety crowns."), encoding="utf-8")
        page.until("document.querySelector('.notice')")
        assert "sheet of mara has changed" in notices(page)[0]
        say(page, PRICE)
        assert "ninety" in text(page, "#trace .facts")
        path.write_text(MARA.replace("role: weapon seller", "roll: weapon seller"), encoding="utf-8")
        page.until("document.querySelectorAll('.notice').length === 2")
        assert "NPC103" in notices(page)[1]
        assert "mara.yaml" in notices(page)[1]


@pytest.mark.parametrize("view", ["cast", "talk", "trace", "controls", "game"])
def test_nothing_sticks_out_on_a_phone(page, page_server, sheet, price_model, view):
    with page_server(sheet, model=price_model) as server:
        page.resize(390, 844, is_phone=True)
        enter(page, server)
        say(page, PRICE + " " + "x" * 300)
        page.click("#home" if view == "cast" else f"#tab-{view}")
        assert page.js("document.documentElement.scrollWidth") == 390
        wide = "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 391)"
        assert page.js(f"{wide}.map((one) => one.outerHTML.slice(0, 80))") == []


def test_the_controls_are_those_of_the_engine(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        page.go(address(server))
        shown = page.js("import('/controls.js').then((module) => module.CONTROLS)")
    schema = ControlOverrides.model_json_schema()["properties"]
    assert list(shown) == list(schema)
    for name, limits in shown.items():
        number = next(one for one in schema[name]["anyOf"] if one.get("type") != "null")
        assert (limits["min"], limits["max"]) == (number["minimum"], number["maximum"]), name


def test_words_that_differ(page, page_server, sheet, price_model):
    with page_server(sheet, model=price_model) as server:
        page.go(address(server))
        left, right = page.js(
            "import('/diff.js').then((module) => module.wordDiff('A sword costs forty crowns.', 'a blade costs forty'))"
        )
    assert [one["text"] for one in left if not one["isShared"]] == ["sword", "crowns."]
    assert [one["text"] for one in right if not one["isShared"]] == ["blade"]


def test_no_script_reads_html():
    for path, content in page_files().items():
        if path.endswith(".js") and "npc-engine-client" not in path:
            for word in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"DOMParser", b"eval("):
                assert word not in content, path


def test_no_file_names_an_outside_address():
    for path, content in page_files().items():
        if "npc-engine-client" not in path:
            assert b"https://" not in content, path
            assert content.replace(b"http://www.w3.org/2000/svg", b"").count(b"http://") == 0, path
