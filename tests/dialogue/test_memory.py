from npc_engine.dialogue.memory import Exchange, History


def test_the_newest_exchanges_are_kept_in_order():
    history = History(max_exchanges=3)
    assert (history.last(), history.exchanges) == (None, ())
    for number in range(5):
        history.add(Exchange(player=str(number), reply=""))
    assert [exchange.player for exchange in history.exchanges] == ["2", "3", "4"]
    assert history.last() == Exchange(player="4", reply="")


def test_what_was_handed_out_does_not_change():
    history = History()
    before = history.exchanges
    history.add(Exchange(player="a", reply="b"))
    assert before == ()
