extends Reference
# The cases of bindings/CONFORMANCE.md in which the server behaves.

const Encoder = preload("res://addons/npc_engine/msgpack_encoder.gd")
const Decoder = preload("res://addons/npc_engine/msgpack_decoder.gd")
const ZmtpLink = preload("res://addons/npc_engine/zmtp_link.gd")

const CASES = [
	"hello",
	"hello_curve",
	"wrong_version",
	"list_characters",
	"stream",
	"sentences",
	"cancel",
	"action_result",
	"action_error",
	"action_timeout",
	"request_error",
	"unknown_character",
	"world_event",
	"set_state",
	"set_controls",
	"say_options",
	"undo",
	"declare_actions",
	"health",
	"two_conversations_at_once",
	"fragmented_tcp",
]

const TWO_SENTENCES = [
	["token", "Steel"],
	["token", " is"],
	["token", " dear."],
	["sentence", 0, "Steel is dear."],
	["token", " Buy"],
	["token", " now!"],
	["sentence", 1, "Buy now!"],
	["turn_ended", "Steel is dear. Buy now!", "stop", "model"],
]

var _h = null


func _init(harness):
	_h = harness


func hello():
	var welcome = _h.up("zmq").get_welcome()
	_h.same(welcome["protocol_version"], 1, "version")
	_h.check(welcome["engine_version"] != "", "no engine version")
	var limits = {
		"max_frame_bytes": 65536,
		"max_message_depth": 16,
		"max_text_chars": 500,
		"max_conversations": 8,
		"client_timeout_s": 600.0,
		"turn_deadline_s": 60.0,
		"action_timeout_s": 1.0,
	}
	for name in limits:
		_h.check(welcome["limits"][name] == limits[name], "limit %s" % name)
	return true


func hello_curve():
	# There is no CURVE in GDScript. A server that asks for it must be told apart, not waited for.
	_h.start("zmq_curve")
	var end_ms = OS.get_ticks_msec() + _h.PATIENCE_MS
	while _h.lost.empty() and OS.get_ticks_msec() < end_ms:
		_h.poll()
	var is_refused = not _h.lost.empty() and _h.lost[0]["code"] == "NPC313"
	_h.check(is_refused, "a CURVE server: %s" % str(_h.lost))
	return "no CURVE in GDScript; the refusal is NPC313"


func wrong_version():
	var address = _h.place["zmq"].substr(6, 100).split(":")
	var link = ZmtpLink.new(address[0], int(address[1]))
	var first = _ask(link, {"kind": "hello", "request_id": 1, "protocol_version": 99})
	_h.same(first.get("code"), "NPC204", "version 99")
	var second = _ask(link, {"kind": "hello", "request_id": 2, "protocol_version": 1})
	_h.same(second.get("kind"), "welcome", "version 1 after it")
	link.close()
	return true


func list_characters():
	var request = _h.done(_h.up("zmq").list_characters())
	var wanted = [
		{"id": "mara", "name": "Mara", "role": "weapon merchant"},
		{"id": "tobin", "name": "Tobin", "role": "innkeeper"},
		{"id": "zoe", "name": "Zoë Ærlig", "role": "chandler"},
	]
	_h.same(request.reply["characters"], wanted, "characters")
	return true


func stream():
	var heard = _h.open(_h.up("zmq"), "mara", {"player_name": "Ada"})
	var line = "Größe zählt: 剣 costs 12 🗡 today."
	var request = _h.say(heard, line)
	_h.pass_ms(50)
	var wanted = [["opened", "Well met, Ada."]]
	for word in ["Größe", " zählt:", " 剣", " costs", " 12", " 🗡", " today."]:
		wanted.append(["token", word])
	wanted += [["sentence", 0, line], ["turn_ended", line, "stop", "model"]]
	_h.same(heard.events, wanted, "events")
	_h.same(request.reply["trace"], {"script": "Größe"}, "trace")
	return true


func sentences():
	var heard = _h.open(_h.up("zmq"))
	_h.say(heard, "Steel is dear. Buy now!")
	_h.same(heard.events.slice(1, heard.events.size() - 1), TWO_SENTENCES, "events")
	for line in ["silent", "guarded", "long"]:
		_h.say(heard, line)
	var ends = heard.of("turn_ended")
	_h.same(ends[1], ["turn_ended", "", "stop", "none"], "silent")
	_h.same(ends[2], ["turn_ended", "I will not speak of it.", "guard", "fallback"], "guarded")
	_h.same(ends[3], ["turn_ended", "And so on", "length", "model"], "long")
	return true


func cancel():
	var heard = _h.open(_h.up("zmq"))
	var turn = heard.talk.say("wait")
	_h.wait_for(heard, "token", 1)
	var first = _h.done(heard.talk.cancel())
	_h.done(turn)
	_h.same(first.reply["cancelled"], true, "the first cancel")
	_h.same(heard.of("turn_ended"), [["turn_ended", "Hm", "cancelled", "model"]], "the end")
	_h.same(_h.done(heard.talk.cancel()).reply["cancelled"], false, "the second cancel")
	_h.expect(heard, "Again.", "Again.")
	return true


func action_result():
	var heard = _act()
	var call = heard.of("action_called")[0]
	var wanted = {"item": "sword", "quantity": 2, "price": 12.5, "gift": false, "note": null}
	_h.check(call[1] != "" and call[2] == "sell_item", "the call: %s" % str(call))
	_h.same(call[3], wanted, "arguments")
	_h.check(call[3].size() == 5 and typeof(call[3]["quantity"]) == TYPE_INT, "quantity is an integer")
	var result = {"sold": true, "price": 12, "name": "sword", "rate": 0.5, "left": null}
	_h.done(heard.talk.answer(call[1], result))
	_h.wait_for(heard, "turn_ended", 2)
	var text = "Result: {\"left\":null,\"name\":\"sword\",\"price\":12,\"rate\":0.5,\"sold\":true}"
	_h.same(heard.last_text(), text, "the reply")
	_h.same(heard.of("action_called").size(), 1, "calls")
	return true


func action_error():
	var heard = _act()
	_h.done(heard.talk.refuse(heard.of("action_called")[0][1], "no swords left"))
	_h.wait_for(heard, "turn_ended", 2)
	_h.same(heard.last_text(), "Refused: no swords left", "the reply")
	return true


func action_timeout():
	var heard = _act()
	_h.wait_for(heard, "turn_ended", 2)
	_h.same(heard.last_text(), "Nobody answered.", "the reply")
	_h.fails(heard.talk.answer(heard.of("action_called")[0][1], {}), ["NPC308"])
	_h.lives(_h.clients[0])
	return true


func request_error():
	var heard = _h.open(_h.up("zmq"))
	var busy = _h.say(heard, "busy")
	_h.fails(busy, ["NPC306"])
	_h.same(busy.error["retry_after_s"], 2.5, "retry_after_s")
	_h.same([busy.error["message"], busy.error["hint"]], ["no room", "later"], "message, hint")
	_h.fails(_h.say(heard, "boom"), ["NPC500"])
	_h.same(heard.of("token"), [["token", "Oh"]], "boom")
	var turn = heard.talk.say("wait")
	_h.wait_for(heard, "token", 2)
	_h.fails(heard.talk.say("Hello."), ["NPC304"])
	heard.talk.cancel()
	_h.same(_h.done(turn).reply["finish_reason"], "cancelled", "the turn")
	_h.fails(_h.say(heard, "x".repeat(501)), ["NPC305"])
	_h.expect(heard, "Still here.", "Still here.")
	return true


func unknown_character():
	var client = _h.up("zmq")
	var heard = _h.Heard.new(client.open("nobody", "ada"))
	_h.wait_for(heard, "closed", 1)
	_h.same(heard.codes(), ["NPC301"], "codes")
	_h.open(client, "tobin")
	return true


func world_event():
	var client = _h.up("zmq")
	var first = _h.open(client)
	var second = _h.open(client, "tobin")
	_h.done(client.world_event("The north gate has fallen.", 812.5))
	_h.done(second.talk.world_event("It rains."))
	_h.expect(first, "events", "[[\"The north gate has fallen.\",812.5]]")
	var both = "[[\"The north gate has fallen.\",812.5],[\"It rains.\",null]]"
	_h.expect(second, "events", both)
	return true


func set_state():
	var heard = _h.open(_h.up("zmq"), "mara", {"state": {"trust": 40, "place": "market"}})
	_h.done(heard.talk.set_state({"trust": 45, "flags": {"met_guard": true}}))
	var wanted = "{\"flags\":{\"met_guard\":true},\"place\":\"market\",\"trust\":45}"
	_h.expect(heard, "state", wanted)
	_h.fails(heard.talk.set_state({"trust": "high"}), ["NPC309"])
	# What cannot be sent fails here, and nothing goes out.
	_h.fails(heard.talk.set_state({"trust": NAN}), ["NPC201"])
	_h.fails(heard.talk.set_state({"text": "x".repeat(70000)}), ["NPC206"])
	_h.expect(heard, "state", wanted)
	return true


func set_controls():
	var heard = _h.open(_h.up("zmq"))
	var first = _h.done(heard.talk.set_controls({"max_words": 20, "synchrony": 1.0})).reply
	_h.same(first["controls"]["max_words"], 20, "what is set")
	_h.same(first["controls"]["role_play"], null, "what is not")
	_h.same(first["in_force"]["world"]["max_words"], 20, "in force")
	_h.expect(heard, "controls", "{\"max_words\":20,\"synchrony\":1.0}")
	var back = _h.done(heard.talk.set_controls({"max_words": null})).reply
	_h.same(back["controls"]["max_words"], null, "given back")
	_h.fails(heard.talk.set_controls({"max_words": 1000}), ["NPC316"])
	_h.fails(heard.talk.set_controls({"loudness": 1}), ["NPC316"])
	_h.expect(heard, "controls", "{\"synchrony\":1.0}")
	heard.talk.say("wait")
	_h.wait_for(heard, "token", 3)
	_h.done(heard.talk.set_controls({"max_words": 9}))
	_h.check(heard.talk.is_speaking(), "the turn has ended")
	heard.talk.cancel()
	_h.wait_for(heard, "turn_ended", 3)
	_h.expect(heard, "controls", "{\"max_words\":9,\"synchrony\":1.0}")
	return true


func say_options():
	var heard = _h.open(_h.up("zmq"))
	_h.done(heard.talk.say("controls", {"controls": {"max_words": 8}}))
	_h.same(heard.last_text(), "{\"max_words\":8}", "controls of the turn")
	_h.expect(heard, "controls", "{}")
	_h.done(heard.talk.say("seed", {"seed": 4294967295}))
	_h.same(heard.last_text(), "4294967295", "seed")
	_h.expect(heard, "seed", "null")
	_h.fails(heard.talk.say("Hello.", {"controls": {"max_words": 1000}}), ["NPC316"])
	_h.expect(heard, "Still here.", "Still here.")
	return true


func undo():
	var heard = _h.open(_h.up("zmq"))
	_h.fails(heard.talk.undo(), ["NPC317"])
	for line in ["One.", "Two.", "Three."]:
		_h.expect(heard, line, line)
	_h.same(_h.done(heard.talk.undo(2)).reply["remaining"], 1, "remaining")
	_h.expect(heard, "turns", "[\"One.\"]")
	heard.talk.say("wait")
	_h.wait_for(heard, "token", 5)
	_h.fails(heard.talk.undo(), ["NPC304"])
	heard.talk.cancel()
	_h.wait_for(heard, "turn_ended", 5)
	_h.done(heard.talk.close())
	_h.fails(heard.talk.undo(), ["NPC303"])
	return true


func declare_actions():
	var client = _h.up("zmq")
	var schema = {"type": "object", "properties": {"gate": {"type": "string"}}}
	var gate = {"name": "open_gate", "description": "Opens the gate.", "parameters": schema}
	var heard = _h.open(client, "mara", {"declare_actions": [gate]})
	_h.expect(heard, "declared", "[\"open_gate\"]")
	heard.talk.say("act sword")
	_h.wait_for(heard, "action_called", 1)
	_h.same(heard.talk.action_call["idempotency_key"], "key-sword", "the key")
	_h.same(heard.talk.action_call["cost"], 2.5, "the cost")
	_h.done(heard.talk.refuse(heard.talk.action_call["call_id"], "not now"))
	_h.wait_for(heard, "turn_ended", 2)
	var options = {"declare_actions": [{"description": "?"}]}
	var refused = _h.Heard.new(client.open("mara", "ada", options))
	_h.wait_for(refused, "closed", 1)
	_h.same(refused.codes(), ["NPC315"], "codes")
	return true


func health():
	var client = _h.up("zmq")
	var report = _h.done(client.health()).reply
	_h.same(report["engine"], {"model": "scripted", "provider": "none"}, "engine")
	_h.check(report["server"]["num_clients"] >= 1, "num_clients")
	_h.same(report["server"]["is_stopping"], false, "is_stopping")
	var text = _h.done(client.metrics()).reply["text"]
	_h.check(text.find("npc_scripted 1") >= 0, "metrics")
	return true


func two_conversations_at_once():
	var client = _h.up("zmq")
	var first = _h.open(client)
	var second = _h.open(client, "tobin")
	first.talk.say("wait")
	_h.wait_for(first, "token", 1)
	_h.expect(second, "Steel is dear.", "Steel is dear.")
	_h.check(first.talk.is_speaking(), "the first has ended")
	first.talk.cancel()
	_h.wait_for(first, "turn_ended", 1)
	var wanted = [["opened", "Well met, ada."], ["token", "Hm"]]
	_h.same(first.events, wanted + [["turn_ended", "Hm", "cancelled", "model"]], "the first")
	_h.same(second.of("token").size(), 3, "tokens of the second")
	return true


func fragmented_tcp():
	var client = _h.start("zmq_fragmented")
	var heard = _h.Heard.new(client.open("mara", "ada"))
	heard.talk.say("Steel is dear. Buy now!")
	_h.wait_for(heard, "turn_ended", 1, 15000)
	_h.same(heard.events.slice(1, heard.events.size() - 1), TWO_SENTENCES, "events")
	return true


# Returns a conversation in which an action was called.
func _act():
	var heard = _h.open(_h.up("zmq"), "mara", {"actions": ["sell_item"]})
	_h.expect(heard, "offered", "[\"sell_item\"]")
	heard.talk.say("act sword")
	_h.wait_for(heard, "action_called", 1)
	return heard


# Sends fields and returns those of the next frame, by the layer below the client.
func _ask(link, fields):
	var end_ms = OS.get_ticks_msec() + _h.PATIENCE_MS
	var is_sent = false
	while OS.get_ticks_msec() < end_ms:
		OS.delay_usec(1000)
		link.poll()
		var frame = link.next_frame()
		if frame != null:
			var decoder = Decoder.new(frame, 16)
			decoder.step(1 << 62)
			return decoder.value
		if link.is_up() and not is_sent:
			link.send(Encoder.new().encode(fields, 16, 65536))
			is_sent = true
	return {}
