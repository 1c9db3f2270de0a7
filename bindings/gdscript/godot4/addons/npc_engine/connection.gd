extends RefCounted
# One connection to a server, from `open` to `close` or the server's end: hello, the table of open
# requests, their deadlines, signs of life. Signals are emitted from `poll` alone.

# The server has answered `hello` with these fields.
signal welcomed(welcome)
# The connection is over; everything open on it has failed already.
signal lost(error)
# A frame could not be read, or an error that no open request claims.
signal strayed(error)

enum { CLOSED, OPENING, GREETED, UP }

const Errors = preload("errors.gd")
const MsgpackDecoder = preload("msgpack_decoder.gd")
const MsgpackEncoder = preload("msgpack_encoder.gd")
const Replies = preload("replies.gd")
const Request = preload("request.gd")
const ZmtpLink = preload("zmtp_link.gd")

const PROTOCOL_VERSION = 1
# Requests for `health` per client_timeout_s while the client is silent.
const SIGNS_OF_LIFE = 3
const DEFAULT_MAX_FRAME_BYTES = 1 << 20
const DEFAULT_MAX_DEPTH = 16

# How long one answer may take.
var timeout_ms = 10000
# What the server said at `hello`, or null.
var welcome = null

var _state = CLOSED
var _address = ""
var _client = ""
var _link = null
var _decoder = null
var _hello = null
# Counts `open` and `close`: what began before the last of them is not gone on with.
var _epoch = 0
var _next_id = 1
# Requests by id; those that wait for the welcome; and those that failed before they were sent.
var _open = {}
var _held = []
var _failed = []
var _address_error = null
var _last_sent_ms = 0


# Starts to connect to an address like tcp://127.0.0.1:5570; `welcomed` or `lost` follows.
# client: what the client is, for the server's log.
func open(address, client):
	close()
	welcome = null
	_address = address
	_client = client
	_state = OPENING
	_hello = Request.new("hello", {"protocol_version": PROTOCOL_VERSION, "client": client})
	_hello.deadline_ms = Time.get_ticks_msec() + timeout_ms
	var place = _parse_address(address)
	if place == null:
		_address_error = Errors.make(
			Errors.CONNECTION_LOST,
			"cannot connect to '%s'" % address,
			"for example tcp://127.0.0.1:5570"
		)
	else:
		_link = ZmtpLink.new(place[0], place[1])


# Says bye and disconnects. Open requests fail with NPC313 in the next poll; nothing is emitted now.
func close():
	_epoch += 1
	if _state == UP and _link.is_up():
		_send(Request.new("bye", {}))
	_drop(_lost_error("the connection was closed", "connect again"))


# Whether the server has welcomed this client and is still there.
func is_up():
	return _state == UP


# Sends a request, or keeps it until the welcome. Its `completed` comes from `poll`, not from here.
func start(request):
	if _state == UP:
		_send(request)
	elif _state == CLOSED:
		fail_later(request, _lost_error("this client is not connected", "call connect_to_server()"))
	else:
		_held.append(request)


# Fails a request in the next poll.
func fail_later(request, error):
	_failed.append([request, error])


# Lets later replies to this request go to nobody.
func forget(request):
	_open.erase(request.id)
	_held.erase(request)


# Does what can be done now and emits what has come of it; ends by itself after about budget_us.
func poll(budget_us):
	var deadline_us = Time.get_ticks_usec() + budget_us
	var epoch = _epoch
	_deliver_failed()
	if epoch != _epoch or _state == CLOSED:
		return
	if _address_error != null:
		_lose(_address_error)
		return
	_link.poll()
	if _state == OPENING and _link.is_up():
		_state = GREETED
		_send(_hello)
	var is_idle = _read_until(deadline_us)
	if epoch != _epoch or _state == CLOSED:
		return
	if _link.is_failed():
		var hint = "see whether it still runs (its log says why it stopped), then connect again"
		_lose(_lost_error("%s: %s" % [_address, _link.failure], hint))
		return
	# Only when all that has arrived was heard: a game that did not poll for long loses no answer.
	if is_idle and _link.is_drained():
		_end_overdue()
	if epoch == _epoch and _state == UP:
		_show_life()


# Returns whether everything that has arrived was handled before the deadline.
func _read_until(deadline_us):
	var epoch = _epoch
	while true:
		if _decoder == null:
			var frame = _link.next_frame()
			for _skipped in range(_link.take_num_skipped()):
				emit_signal("strayed", _too_large())
				if epoch != _epoch:
					return false
			if _state == OPENING and _link.is_up():
				_state = GREETED
				_send(_hello)
			if frame == null:
				return true
			_decoder = MsgpackDecoder.new(frame, _limit("max_message_depth", DEFAULT_MAX_DEPTH))
		if not _decoder.step(deadline_us):
			return false
		var decoder = _decoder
		_decoder = null
		_deliver(decoder)
		if epoch != _epoch or _state == CLOSED:
			return false
		if Time.get_ticks_usec() >= deadline_us:
			return false
	return false


func _deliver(decoder):
	if decoder.error != null:
		emit_signal("strayed", decoder.error)
		return
	var message = decoder.value
	var request_id = Replies.request_id_of(message)
	var error = Replies.check(message)
	if error == null and message["kind"] == "error" and not _open.has(request_id):
		error = Errors.from_reply(message)
	var request = _open.get(request_id)
	if request == null:
		# Late answers to requests that timed out are dropped; what is wrong is told.
		if error != null:
			error["request_id"] = request_id
			emit_signal("strayed", error)
		return
	request.deadline_ms = Time.get_ticks_msec() + request.timeout_ms
	if error != null:
		_open.erase(request_id)
		_end(request, error)
		return
	if _is_last(request, message):
		_open.erase(request_id)
	if request == _hello:
		_greet(message)
	else:
		request.take(message)


func _is_last(request, message):
	return request.kind != "say" or not Replies.TURN_EVENTS.has(message["kind"])


func _greet(message):
	_hello.take(message)
	if _hello.error != null:
		_end(_hello, _hello.error)
		return
	welcome = message
	_state = UP
	_link.limit_frames(_limit("max_frame_bytes", DEFAULT_MAX_FRAME_BYTES))
	var held = _held
	_held = []
	for request in held:
		_send(request)
	emit_signal("welcomed", message)


# Ends a request by an error; without a welcome there is no connection.
func _end(request, error):
	if request == _hello:
		_lose(error)
	else:
		request.fail(error)


func _send(request):
	request.id = _next_id
	_next_id += 1
	var fields = {"kind": request.kind, "request_id": request.id}
	for name in request.fields:
		fields[name] = request.fields[name]
	var encoder = MsgpackEncoder.new()
	var frame = encoder.encode(
		fields,
		_limit("max_message_depth", DEFAULT_MAX_DEPTH),
		_limit("max_frame_bytes", DEFAULT_MAX_FRAME_BYTES)
	)
	if frame == null:
		fail_later(request, encoder.error)
		return
	request.timeout_ms = timeout_ms
	if request.kind == "say":
		request.timeout_ms += int(welcome["limits"]["turn_deadline_s"] * 1000)
	_last_sent_ms = Time.get_ticks_msec()
	request.deadline_ms = _last_sent_ms + request.timeout_ms
	_open[request.id] = request
	# A link that has just failed says so in the next poll.
	if _link.is_up():
		_link.send(frame)


func _end_overdue():
	var now_ms = Time.get_ticks_msec()
	var epoch = _epoch
	if _state == OPENING:
		if now_ms >= _hello.deadline_ms:
			_lose(_timeout_error(_hello, timeout_ms))
		return
	for id in _open.keys():
		var request = _open.get(id)
		if request == null or now_ms < request.deadline_ms:
			continue
		_open.erase(id)
		_end(request, _timeout_error(request, request.timeout_ms))
		if epoch != _epoch or _state == CLOSED:
			return


func _show_life():
	var silent_ms = Time.get_ticks_msec() - _last_sent_ms
	if silent_ms * SIGNS_OF_LIFE >= welcome["limits"]["client_timeout_s"] * 1000:
		_send(Request.new("health", {}))


func _lose(error):
	_epoch += 1
	var epoch = _epoch
	_drop(error)
	_deliver_failed()
	if epoch == _epoch:
		emit_signal("lost", error)


# Frees the link and turns every open request into one that the next `_deliver_failed` fails.
func _drop(error):
	if _link != null:
		_link.close()
		_link = null
	for request in _open.values() + _held:
		if request != _hello:
			fail_later(request, error)
	_open = {}
	_held = []
	_hello = null
	_decoder = null
	_address_error = null
	_state = CLOSED


func _deliver_failed():
	var failed = _failed
	_failed = []
	for pair in failed:
		_open.erase(pair[0].id)
		pair[0].fail(pair[1])


func _limit(name, default):
	return welcome["limits"][name] if welcome != null else default


func _too_large():
	return Errors.make(
		Errors.FRAME_TOO_LARGE,
		"a message beyond max_frame_bytes, or of several frames; it was not read",
		"see whether an NPC engine of this client's release listens there"
	)


func _lost_error(message, hint):
	return Errors.make(Errors.CONNECTION_LOST, message, hint)


func _timeout_error(request, after_ms):
	return Errors.make(
		Errors.REQUEST_TIMEOUT,
		"no answer to %s from %s within %.1f s" % [request.kind, _address, after_ms / 1000.0],
		"see whether `npc-engine serve` runs there, without keys"
	)


# Returns [host, port], or null where the address is none.
func _parse_address(address):
	if not address.begins_with("tcp://"):
		return null
	var colon = address.rfind(":")
	var host = address.substr(6, colon - 6) if colon > 6 else ""
	host = host.trim_prefix("[").trim_suffix("]")
	var port = address.substr(colon + 1, address.length())
	if host.is_empty() or not port.is_valid_int() or int(port) < 1 or int(port) > 65535:
		return null
	return [host, int(port)]
