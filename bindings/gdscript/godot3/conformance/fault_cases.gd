extends Reference
# The cases of bindings/CONFORMANCE.md in which the server is slow, dies or sends nonsense, and
# those in which the client goes away.

const CASES = [
	"slow_server",
	"server_stall",
	"server_restart",
	"unknown_kind_from_server",
	"unknown_field_from_server",
	"reply_to_unknown_request",
	"replayed_reply",
	"truncated_frame",
	"random_frame",
	"oversized_frame",
	"close_in_mid_turn",
	"start_stop_200",
]

const MAX_GROWTH_BYTES = 20 << 20
const PAGE_BYTES = 4096
# More often than a game, so that a 99.9th percentile means something.
const TIMED_US = 1000

var _h = null


func _init(harness):
	_h = harness


func slow_server():
	_h.pace_us = _h.FRAME_US
	_h.is_timed = true
	var heard = _h.open(_h.up("zmq"))
	var turn = heard.talk.say("slow")
	var num_polls_with_tokens = 0
	while not turn.is_done and heard.codes().empty():
		var before = heard.of("token").size()
		_h.poll()
		if heard.of("token").size() > before:
			num_polls_with_tokens += 1
	_h.check(num_polls_with_tokens >= 5, "tokens in %d polls" % num_polls_with_tokens)
	_h.same(heard.last_text(), "a b c d e f g h i j", "the reply")
	_h.is_quick()
	return true


func server_stall():
	_h.pace_us = TIMED_US
	_h.is_timed = true
	var client = _h.up("zmq_faults")
	var heard = _h.open(client)
	var turn = heard.talk.say("fault stall")
	_h.wait_for(heard, "token", 1)
	_h.pass_ms(500)
	var begin_us = OS.get_ticks_usec()
	var health = client.health()
	_h.poll_us.append(OS.get_ticks_usec() - begin_us)
	_h.done(turn)
	_h.same(heard.last_text(), "Hm again.", "the reply")
	_h.check(_h.done(health).error == null, "health")
	_h.is_quick()
	return true


func server_restart():
	_h.pace_us = TIMED_US
	_h.is_timed = true
	var client = _h.up("zmq_faults")
	var waiting = _h.open(client, "tobin")
	waiting.talk.say("wait")
	_h.wait_for(waiting, "token", 1)
	var heard = _h.open(client)
	heard.talk.say("fault restart")
	_h.wait_for(heard, "failed", 1)
	_h.wait_for(waiting, "failed", 1)
	_h.pass_ms(50)
	_h.same([heard.codes(), waiting.codes()], [["NPC313"], ["NPC313"]], "both turns")
	_h.same(_h.lost.size(), 1, "connection_lost")
	_h.fails(heard.talk.say("Are you there?"), ["NPC313", "NPC302", "NPC303"])
	client.connect_to_server(_h.place["zmq_faults"])
	_h.fails(waiting.talk.say("Are you there?"), ["NPC313", "NPC302", "NPC303"])
	var again = _h.Heard.new(client.open("mara", "ada"))
	_h.wait_for(again, "opened", 1, 10000)
	_h.expect(again, "Back again.", "Back again.")
	_h.is_quick()
	return true


func unknown_kind_from_server():
	var client = _h.up("zmq_faults")
	var turn = _h.say(_h.open(client), "fault unknown_kind")
	_ends_or_fails(turn, ["NPC203"])
	_h.lives(client)
	return true


func unknown_field_from_server():
	_h.expect(_h.open(_h.up("zmq_faults")), "fault unknown_field", "Still here.")
	return true


func reply_to_unknown_request():
	var client = _h.up("zmq_faults")
	var heard = _h.open(client)
	_h.expect(heard, "fault unknown_request", "Still here.")
	_h.check(not heard.of("token").has(["token", "Ghost"]), "a ghost")
	_h.lives(client)
	return true


func replayed_reply():
	var client = _h.up("zmq_faults")
	var heard = _h.open(client)
	_h.expect(heard, "fault replay", "Still here.")
	_h.expect(heard, "Next.", "Next.")
	_h.pass_ms(50)
	_h.same(heard.of("token").size(), 3, "tokens")
	_h.same(heard.of("turn_ended").size(), 2, "ends")
	_h.lives(client)
	return true


func truncated_frame():
	_nonsense("fault truncated", ["NPC201", "NPC202"])
	_h.check(not _h.failed.empty(), "nothing was told")
	return true


func random_frame():
	_nonsense("fault random", ["NPC201", "NPC202", "NPC203", "NPC206"])
	_h.check(_h.failed.size() >= 40, "%d frames were told of" % _h.failed.size())
	return true


func oversized_frame():
	_nonsense("fault oversized", ["NPC201", "NPC202", "NPC206"])
	_h.check(not _h.failed.empty() and _h.failed[0]["code"] == "NPC206", "NPC206 was not told")
	return true


func close_in_mid_turn():
	var client = _h.up("zmq")
	var heard = _h.open(client)
	heard.talk.say("wait")
	_h.wait_for(heard, "token", 1)
	heard.talk.close()
	_h.wait_for(heard, "closed", 1)
	var last = heard.events.slice(2, heard.events.size() - 1)
	_h.same(last, [["turn_ended", "Hm", "cancelled", "model"], ["closed"]], "after the close")
	_h.fails(heard.talk.say("Hello?"), ["NPC303"])
	var second = _h.open(client)
	second.talk.say("wait")
	_h.wait_for(second, "token", 1)
	var begin_ms = OS.get_ticks_msec()
	client.disconnect_from_server()
	_h.check(OS.get_ticks_msec() - begin_ms < 100, "closing took long")
	_h.wait_for(second, "closed", 1)
	_h.pass_ms(50)
	_h.same(second.codes(), ["NPC313"], "the open turn")
	var third = _h.open(_h.up("zmq_faults"))
	third.talk.say("fault hangup")
	_h.wait_for(third, "failed", 1)
	_h.pass_ms(50)
	_h.same(third.codes(), ["NPC313"], "the turn of the hangup")
	return true


func start_stop_200():
	var then = {}
	for i in range(200):
		var client = _h.up("zmq")
		_h.lives(client)
		if i % 4 == 0:
			var heard = _h.open(client)
			heard.talk.say("wait")
			_h.wait_for(heard, "token", 1)
			heard.talk = null
		client.disconnect_from_server()
		_h.end()
		if i == 19:
			then = _resources()
	var now = _resources()
	_h.same([now["fds"], now["threads"]], [then["fds"], then["threads"]], "descriptors, threads")
	_h.same(now["objects"], then["objects"], "objects")
	var growth = now["bytes"] - then["bytes"]
	_h.check(growth < MAX_GROWTH_BYTES, "resident memory grew by %d bytes" % growth)
	return true


# Polls through a line that makes the server send nonsense: the client lives or is lost in order.
func _nonsense(line, codes):
	var client = _h.up("zmq_faults")
	var heard = _h.open(client)
	_ends_or_fails(_h.say(heard, line), codes + ["NPC313"])
	for token in heard.of("token"):
		_h.check(token[1].find("Ghost") < 0 and token[1].length() <= 1000, "a ghost")
	if not client.is_up():
		client.connect_to_server(_h.place["zmq_faults"])
	_h.lives(client)


func _ends_or_fails(turn, codes):
	if turn.error == null:
		_h.same(turn.reply["text"], "Still here.", "the reply")
	else:
		_h.check(codes.has(turn.error["code"]), "the turn: %s" % str(turn.error))


func _resources():
	var found = {}
	found["fds"] = _num_entries("/proc/self/fd")
	found["threads"] = _num_entries("/proc/self/task")
	found["objects"] = Performance.get_monitor(Performance.OBJECT_COUNT)
	found["bytes"] = 0
	var file = File.new()  #@3
	if file.open("/proc/self/statm", File.READ) == OK:  #@3
	#@4 var file = FileAccess.open("/proc/self/statm", FileAccess.READ)
	#@4 if file != null:
		found["bytes"] = int(file.get_line().split(" ")[1]) * PAGE_BYTES
	return found


func _num_entries(path):
	var num_entries = 0
	var folder = Directory.new()  #@3
	if folder.open(path) == OK and folder.list_dir_begin(true) == OK:  #@3
	#@4 var folder = DirAccess.open(path)
	#@4 if folder != null and folder.list_dir_begin() == OK:
		while folder.get_next() != "":
			num_entries += 1
	return num_entries
