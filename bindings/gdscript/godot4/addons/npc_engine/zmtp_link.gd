extends RefCounted
# One connection over StreamPeerTCP: address to socket, bytes to frames. Nothing here waits: a name
# is looked up by the engine's resolver thread, the socket is not blocking, a refused connection is
# tried again until whoever uses the link gives up.

enum { RESOLVING, WAITING, CONNECTING, CONNECTED, FAILED }

const Zmtp = preload("zmtp.gd")

const RETRY_MS = 100
# Read from the socket at most this much in one poll.
const READ_BYTES = 65536
# A server that leaves this much unread is lost.
const MAX_UNSENT_BYTES = 8 << 20

# Why the link has failed, once `is_failed()`.
var failure = ""

var _host = ""
var _port = 0
var _state = RESOLVING
var _resolving = -1
var _ip = ""
var _retry_at_ms = 0
var _tcp = null
var _zmtp = null
var _out = PackedByteArray()
var _max_frame_bytes = 1 << 20
var _num_skipped = 0
# Whether the last poll left nothing to read.
var _is_drained = true


# Starts to connect. port: 1 to 65535.
func _init(host, port):
	_host = host
	_port = port
	if host.is_valid_ip_address():
		_ip = host
		_state = WAITING
	else:
		_resolving = IP.resolve_hostname_queue_item(host, IP.TYPE_ANY)


# Whether frames can be sent and received.
func is_up():
	return _zmtp != null and _zmtp.state == Zmtp.UP and _state == CONNECTED


func is_failed():
	return _state == FAILED


# Whether nothing that has arrived is still unread.
func is_drained():
	return _is_drained


# Frames above this many bytes are skipped.
func limit_frames(max_frame_bytes):
	_max_frame_bytes = max_frame_bytes
	if _zmtp != null:
		_zmtp.max_frame_bytes = max_frame_bytes


# Returns how many messages were too long, or of several frames, since the last call.
func take_num_skipped():
	return _zmtp.take_num_skipped() if _zmtp != null else 0


# Queues a frame and sends what the socket takes now; only while `is_up()`.
func send(frame):
	_zmtp.send(frame)
	_write()


# Does what can be done now, and reads once where no whole frame is waiting.
func poll():
	match _state:
		RESOLVING:
			_poll_resolver()
		WAITING:
			if Time.get_ticks_msec() >= _retry_at_ms:
				_dial()
		CONNECTING:
			_poll_dial()
		CONNECTED:
			_write()


# Returns the next frame as bytes, or null where none has arrived whole.
func next_frame():
	if _zmtp == null:
		return null
	var frame = _zmtp.next_frame()
	if frame == null and _state == CONNECTED:
		_read()
		frame = _zmtp.next_frame()
	if _zmtp.state == Zmtp.FAILED and _state == CONNECTED:
		_fail(_zmtp.failure)
	elif _state == CONNECTED:
		# A PONG or the handshake's READY may have been queued.
		_write()
	return frame


# Frees the socket; what is queued in the system is still sent. Never waits.
func close():
	if _resolving != -1:
		IP.erase_resolve_item(_resolving)
		_resolving = -1
	if _tcp != null:
		_tcp.disconnect_from_host()
		_tcp = null
	_state = FAILED
	_out = PackedByteArray()


func _poll_resolver():
	match IP.get_resolve_item_status(_resolving):
		IP.RESOLVER_STATUS_DONE:
			_ip = IP.get_resolve_item_address(_resolving)
			IP.erase_resolve_item(_resolving)
			_resolving = -1
			_state = WAITING
		IP.RESOLVER_STATUS_ERROR, IP.RESOLVER_STATUS_NONE:
			_fail("the host name '%s' cannot be resolved" % _host)


func _dial():
	_tcp = StreamPeerTCP.new()
	_zmtp = Zmtp.new()
	_zmtp.max_frame_bytes = _max_frame_bytes
	if _tcp.connect_to_host(_ip, _port) == OK:
		_state = CONNECTING
		_poll_dial()
	else:
		_dial_later()


func _poll_dial():
	_tcp.poll()
	match _tcp.get_status():
		StreamPeerTCP.STATUS_CONNECTED:
			_tcp.set_no_delay(true)
			_state = CONNECTED
			_write()
		StreamPeerTCP.STATUS_ERROR, StreamPeerTCP.STATUS_NONE:
			_dial_later()


func _dial_later():
	_tcp = null
	_state = WAITING
	_retry_at_ms = Time.get_ticks_msec() + RETRY_MS


func _read():
	_is_drained = true
	# Not get_status() first: it drops what a server sent just before it closed.
	var is_open = _tcp.get_status() == StreamPeerTCP.STATUS_CONNECTED
	var num_bytes = _tcp.get_available_bytes() if is_open else 0
	if num_bytes > 0:
		_is_drained = num_bytes <= READ_BYTES
		var answer = _tcp.get_partial_data(int(min(num_bytes, READ_BYTES)))
		if answer[0] == OK:
			_zmtp.feed(answer[1])
		return
	_tcp.poll()
	if _tcp.get_status() != StreamPeerTCP.STATUS_CONNECTED:
		_lose()


func _write():
	_out.append_array(_zmtp.take_output())
	if _out.is_empty():
		return
	var answer = _tcp.put_partial_data(_out)
	if answer[0] != OK:
		# The next read finds the socket closed.
		_out = PackedByteArray()
	elif answer[1] == _out.size():
		_out = PackedByteArray()
	else:
		if answer[1] > 0:
			_out = _out.slice(answer[1], _out.size())
		if _out.size() > MAX_UNSENT_BYTES:
			_fail("the server reads nothing; %d bytes are waiting" % _out.size())


func _lose():
	if _zmtp.state == Zmtp.UP:
		_fail("the server closed the connection")
	elif _zmtp.has_begun():
		_fail("the server refused the connection; it may want CURVE keys, which this client lacks")
	else:
		_dial_later()


func _fail(why):
	close()
	failure = why
