from npc_engine.playtest.demo import SCRIPT


def test_the_demonstration_runs_to_its_end(command, stubs):
    code, out, err = command("demo", "--model", "stub")
    assert code == 0
    assert out.startswith("model stub (int4) on CPUExecutionProvider, 1 threads")
    for step in SCRIPT:
        assert f"Ada: {step.line}" in out
    assert "[game] action_call sell_item {'item': 'short sword', 'quantity': 1}" in out
    assert "[game] action_result {'sold': '1 short sword', 'price_paid': '40 crowns'}" in out
    assert f"{len(SCRIPT)} turns: time to first word p50" in out
    assert "tokens/s" in out.splitlines()[-2]
    assert out.splitlines()[-1].startswith("Next: npc-engine play hesta")
    assert "loading stub" in err


def test_a_model_that_is_not_there(command, stubs):
    code, out, err = command("demo", "--model", "no-such-model")
    assert (code, out) == (1, "")
    assert err.startswith("NPC401: no model is called 'no-such-model'")
