extends RefCounted
# What every case needs: clients that are polled as a game polls them, waits with a limit, clocks.

const Heard = preload("heard.gd")
const NpcClient = preload("res://addons/npc_engine/npc_client.gd")

const PATIENCE_MS = 5000
# Between two polls: quick for most cases, a game's frame for those that are timed.
const QUICK_US = 500
const FRAME_US = 5000

# The server's line of addresses.
var place = {}
# Why the case does not hold; empty while it does.
var why = ""
# Longest time between polls, set by a case for itself.
var pace_us = QUICK_US
# Every timed poll and API call, microseconds; and the same without the time in which the system
# let another process run.
var poll_us = []
var own_us = []
var is_timed = false
# The longest of the case's own_us.
var longest_us = 0

var clients = []
var lost = []
var failed = []
var num_polls = 0


# Forgets the case before.
func begin():
	why = ""
	pace_us = QUICK_US
	is_timed = false
	longest_us = 0
	lost = []
	failed = []


# Frees all clients of a case.
func end():
	for client in clients:
		client.free()
	clients = []


# Notes what does not hold; the first note counts.
func check(holds, what):
	if not holds and why == "":
		why = what


# Notes that two things differ.
func same(got, wanted, what):
	check(JSON.stringify(got) == JSON.stringify(wanted), "%s: %s instead of %s" % [what, got, wanted])


# Returns a client that connects to a door of the server; `up` waits for the welcome.
func start(door):
	var client = NpcClient.new()
	clients.append(client)
	client.connect("connection_lost", Callable(self, "_on_lost"))
	client.connect("failed", Callable(self, "_on_failed"))
	client.connect_to_server(place[door])
	return client


# Returns a client that is welcome.
func up(door):
	var client = start(door)
	var end_ms = Time.get_ticks_msec() + PATIENCE_MS
	while not client.is_up() and Time.get_ticks_msec() < end_ms:
		poll()
	check(client.is_up(), "no welcome")
	return client


# Returns what a new conversation with a character hears.
func open(client, character_id = "mara", options = {}):
	var heard = Heard.new(client.open(character_id, "ada", options))
	wait_for(heard, "opened", 1)
	return heard


# Polls all clients once, after the pause of a frame.
func poll():
	OS.delay_usec(pace_us)
	num_polls += 1
	for client in clients:
		var waited_us = _waited_us() if is_timed else 0
		var begin_us = Time.get_ticks_usec()
		client.poll()
		var took_us = Time.get_ticks_usec() - begin_us
		if is_timed:
			var took_own_us = took_us - (_waited_us() - waited_us)
			poll_us.append(took_us)
			own_us.append(took_own_us)
			longest_us = int(max(longest_us, took_own_us))


# Polls for so long.
func pass_ms(duration_ms):
	var end_ms = Time.get_ticks_msec() + duration_ms
	while Time.get_ticks_msec() < end_ms:
		poll()


# Polls until a conversation has heard so many of a signal.
func wait_for(heard, name, count, limit_ms = PATIENCE_MS):
	var end_ms = Time.get_ticks_msec() + limit_ms
	while heard.of(name).size() < count and Time.get_ticks_msec() < end_ms:
		poll()
	check(heard.of(name).size() >= count, "no %s number %d; heard %s" % [name, count, heard.events])


# Polls until a request is over, which is returned.
func done(request, limit_ms = PATIENCE_MS):
	var end_ms = Time.get_ticks_msec() + limit_ms
	while not request.is_done and Time.get_ticks_msec() < end_ms:
		poll()
	check(request.is_done, "%s is not answered" % request.kind)
	return request


# Says a line and waits for the turn's end; returns the request.
func say(heard, line, limit_ms = PATIENCE_MS):
	return done(heard.talk.say(line), limit_ms)


# Says a line and checks the text of its turn.
func expect(heard, line, text):
	var request = say(heard, line)
	check(request.error == null, "%s: %s" % [line, request.error])
	if request.error == null:
		same(request.reply["text"], text, line)


# Checks that a request failed with one of these codes.
func fails(request, codes):
	done(request)
	var code = request.error["code"] if request.error != null else "no error"
	check(codes.has(code), "%s: %s instead of %s" % [request.kind, code, codes])


# Checks that a connection still answers.
func lives(client):
	var request = done(client.health())
	check(request.error == null, "health afterwards: %s" % str(request.error))


# Checks that no poll of this case took longer than a tenth of a second, whatever else the machine
# was doing: a poll that slept or read too long shows, a processor that others had does not.
func is_quick():
	check(longest_us <= 100000, "a poll took %d us" % longest_us)


# How long this thread has waited for a processor so far; 0 where the system does not tell.
func _waited_us():
	var file = FileAccess.open("/proc/thread-self/schedstat", FileAccess.READ)
	if file == null:
		return 0
	return int(int(file.get_line().split(" ")[1]) / 1000)


func _on_lost(error):
	lost.append(error)


func _on_failed(error):
	failed.append(error)
