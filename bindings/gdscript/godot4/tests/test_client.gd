extends RefCounted
# The client where no server is: what it says, when, and that every call returns at once.

const NpcClient = preload("res://addons/npc_engine/npc_client.gd")

# Nothing listens there.
const DEAD_ADDRESS = "tcp://127.0.0.1:9"
const LIMIT_MS = 5000
const QUICK_US = 100000

var _checks = null
var _errors = []


func _init(checks):
	_checks = checks


func run():
	_without_a_connection()
	_bad_address()
	_no_server()
	_unknown_host()
	_closed_before_it_stood()
	_freed_at_any_moment()


func _without_a_connection():
	var client = _new_client()
	var health = client.health()
	_checks.holds(not health.is_done, "a failure waits for the poll")
	_polls_until_done(client, health)
	_checks.holds(health.error["code"] == "NPC313", "a request without a connection")
	var talk = client.open("mara", "ada")
	talk.connect("failed", Callable(self, "_on_error"))
	var turn = talk.say("Hello?")
	_polls_until_done(client, turn)
	_checks.holds(turn.error["code"] == "NPC313", "a say without a connection")
	_checks.holds(_errors.size() == 2 and talk.is_closed(), "opening and saying have failed")
	_polls_until_done(client, talk.say("Hello?"))
	_checks.holds(_errors.back()["code"] == "NPC303", "a say to a closed conversation")
	client.free()


func _bad_address():
	for address in ["", "localhost", "tcp://", "tcp://host", "tcp://host:x", "tcp://h:0", "ipc://x"]:
		var client = _new_client()
		client.connect_to_server(address)
		client.poll()
		_checks.holds(_errors.size() == 1, "address '%s'" % address)
		_checks.holds(_errors[0]["code"] == "NPC313", "the code of address '%s'" % address)
		client.free()


func _no_server():
	var client = _new_client()
	client.timeout_s = 0.3
	client.connect_to_server(DEAD_ADDRESS)
	var health = client.health()
	_polls_until_done(client, health)
	_checks.holds(_errors.size() == 1 and _errors[0]["code"] == "NPC311", "no server")
	_checks.holds(health.error["code"] == "NPC311", "what waited for the server")
	client.free()


func _unknown_host():
	var client = _new_client()
	client.timeout_s = 0.3
	var begin_us = Time.get_ticks_usec()
	client.connect_to_server("tcp://no-such-host.invalid:5570")
	client.poll()
	_checks.holds(Time.get_ticks_usec() - begin_us < QUICK_US, "a host name is not waited for")
	client.free()


func _closed_before_it_stood():
	var client = _new_client()
	client.connect_to_server(DEAD_ADDRESS)
	client.disconnect_from_server()
	var request = client.health()
	_polls_until_done(client, request)
	_checks.holds(request.error["code"] == "NPC313", "not connected any more")
	client.free()


func _freed_at_any_moment():
	for num_polls in range(5):
		var client = _new_client()
		client.connect_to_server(DEAD_ADDRESS)
		var talk = client.open("mara", "ada")
		talk.say("Hello?")
		for _i in range(num_polls):
			client.poll()
		client.free()
		_checks.holds(not talk.is_closed(), "nothing is emitted by a client that is freed")


func _new_client():
	_errors = []
	var client = NpcClient.new()
	client.connect("connection_lost", Callable(self, "_on_error"))
	return client


func _polls_until_done(client, request):
	var end_ms = Time.get_ticks_msec() + LIMIT_MS
	while not request.is_done and Time.get_ticks_msec() < end_ms:
		client.poll()
	_checks.holds(request.is_done, "%s is over" % request.kind)


func _on_error(error):
	_errors.append(error)
