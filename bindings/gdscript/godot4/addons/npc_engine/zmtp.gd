extends RefCounted
# The client's side of ZMTP 3.1 with the NULL mechanism, for a DEALER socket: bytes in, frames out.
# Knows nothing of sockets or of what a frame means.
#
# Source: RFC 23 and 37 of the ZeroMQ project.

enum { GREETING, HANDSHAKE, UP, FAILED }

const GREETING_BYTES = 64
# The greeting's first part goes out at once, the rest after the server's first part: a server that
# refuses the greeting closes at once, and one that has said something before can be told from one
# that is not up yet.
const SIGNATURE_BYTES = 10
const MECHANISM = "NULL"
# Bits of a frame's first byte.
const MORE = 1
const LONG = 2
const COMMAND = 4
const MAX_COMMAND_BYTES = 65536
# A frame beyond the limit is skipped; one beyond this many times the limit ends the connection.
const HOPELESS = 16

var state = GREETING
# Why the connection has failed, once `state` is FAILED.
var failure = ""
# Frames longer than this are skipped and counted in num_skipped.
var max_frame_bytes = 1 << 20
# Frames that were too long and messages of several frames, since `take_num_skipped`.
var _num_skipped = 0
# What must go out: the transport takes it with `take_output`.
var _out = PackedByteArray()
var _in = PackedByteArray()
var _at = 0
var _is_greeting_sent = false
# Bytes of a frame that is being skipped and have not arrived yet.
var _skip = 0
# Whether the frames that come belong to a message of several, which is dropped.
var _is_in_parts = false


func _init():
	_out.append_array(_greeting().slice(0, SIGNATURE_BYTES))


# Counts bytes in that have arrived.
func feed(bytes):
	if state == FAILED:
		return
	if _skip > 0:
		var skipped = int(min(_skip, bytes.size()))
		_skip -= skipped
		if skipped == bytes.size():
			return
		bytes = bytes.slice(skipped, bytes.size())
	if _at > 0:
		if _at == _in.size():
			_in = PackedByteArray()
		else:
			_in = _in.slice(_at, _in.size())
		_at = 0
	_in.append_array(bytes)


# Returns what is to be sent and forgets it.
func take_output():
	var bytes = _out
	_out = PackedByteArray()
	return bytes


# Whether the other side has said anything yet.
func has_begun():
	return state != GREETING or not _in.is_empty()


# Returns how many messages were dropped unread since the last call.
func take_num_skipped():
	var num_skipped = _num_skipped
	_num_skipped = 0
	return num_skipped


# Queues one message of one frame.
func send(frame):
	_put_frame(0, frame)


# Returns the next whole frame as bytes, or null where none has arrived. Greeting, handshake and
# commands are dealt with on the way.
func next_frame():
	while state != FAILED:
		if state == GREETING:
			if not _read_greeting():
				return null
			continue
		var head = _read_head()
		if head == null:
			return null
		var flags = head[0]
		var size = head[1]
		if (flags & COMMAND) != 0:
			if not _read_command(size, head[2]):
				return null
		elif state != UP:
			_fail("a message before the handshake")
		elif size > max_frame_bytes:
			_skip_frame(size, head[2])
		elif _in.size() - head[2] < size:
			return null
		else:
			var frame = _slice(head[2], size)
			_at = head[2] + size
			if _is_single(flags):
				return frame
	return null


func _is_single(flags):
	var has_more = (flags & MORE) != 0
	var is_single = not has_more and not _is_in_parts
	if _is_in_parts and not has_more:
		_num_skipped += 1
	_is_in_parts = has_more
	return is_single


func _read_greeting():
	var size = _in.size() - _at
	# Told as early as it shows, so that a server of another kind need not send 64 bytes.
	if size > 0 and _in[_at] != 0xFF:
		_fail("what listens there does not speak ZMTP")
		return false
	if size > 9 and _in[_at + 9] != 0x7F:
		_fail("what listens there does not speak ZMTP")
		return false
	if size > 10 and _in[_at + 10] < 3:
		_fail("the server speaks ZMTP %d; at least 3 is required" % _in[_at + 10])
		return false
	if size >= SIGNATURE_BYTES and not _is_greeting_sent:
		_is_greeting_sent = true
		_out.append_array(_greeting().slice(SIGNATURE_BYTES, GREETING_BYTES))
	if size < GREETING_BYTES:
		return false
	var mechanism = _word(_at + 12, 20)
	if mechanism != MECHANISM:
		_fail("the server wants security mechanism '%s'; this client has NULL only" % mechanism)
		return false
	_at += GREETING_BYTES
	state = HANDSHAKE
	_put_command("READY", _property("Socket-Type", "DEALER") + _property("Identity", ""))
	return true


# Returns [flags, size, where the frame's body begins], or null where the head is not whole.
func _read_head():
	var left = _in.size() - _at
	if left < 1:
		return null
	var flags = _in[_at]
	if (flags & ~(MORE | LONG | COMMAND)) != 0:
		_fail("a frame with unknown flags 0x%02x" % flags)
		return null
	var size_bytes = 1 if (flags & LONG) == 0 else 8
	if left < 1 + size_bytes:
		return null
	var size = 0
	for i in range(1, 1 + size_bytes):
		size = (size << 8) | _in[_at + i]
	# Negative: beyond 2^63 - 1.
	if size < 0 or size > HOPELESS * max_frame_bytes:
		_fail("a frame far beyond the limit of %d bytes" % max_frame_bytes)
		return null
	return [flags, size, _at + 1 + size_bytes]


func _skip_frame(size, begin):
	_num_skipped += 1
	var here = int(min(size, _in.size() - begin))
	_at = begin + here
	_skip = size - here


# Returns false where the command is not whole.
func _read_command(size, begin):
	if size > MAX_COMMAND_BYTES or size < 1:
		_fail("a command of %d bytes" % size)
		return false
	if _in.size() - begin < size:
		return false
	var name_size = _in[begin]
	if name_size + 1 > size:
		_fail("a command without a name")
		return false
	_at = begin + size
	var body = begin + 1 + name_size
	match _word(begin + 1, name_size):
		"READY":
			if state == HANDSHAKE:
				state = UP
			else:
				_fail("a second READY")
		"ERROR":
			_fail("the server refused the connection: %s" % _word(body + 1, begin + size - body - 1))
		"PING":
			# Two bytes of time to live, then what a PONG must repeat.
			var context_size = int(clamp(begin + size - body - 2, 0, 16))
			_put_command("PONG", _slice(body + 2, context_size))
	return true


func _put_command(name, body):
	var bytes = PackedByteArray([name.length()])
	bytes.append_array(name.to_ascii_buffer())
	bytes.append_array(body)
	_put_frame(COMMAND, bytes)


func _put_frame(flags, body):
	var size = body.size()
	if size < 0x100:
		_out.append(flags)
		_out.append(size)
	else:
		_out.append(flags | LONG)
		for shift in [56, 48, 40, 32, 24, 16, 8, 0]:
			_out.append((size >> shift) & 0xFF)
	_out.append_array(body)


func _greeting():
	var bytes = PackedByteArray()
	bytes.resize(GREETING_BYTES)
	for i in range(GREETING_BYTES):
		bytes[i] = 0
	bytes[0] = 0xFF
	bytes[9] = 0x7F
	bytes[10] = 3
	bytes[11] = 1
	var mechanism = MECHANISM.to_ascii_buffer()
	for i in range(mechanism.size()):
		bytes[12 + i] = mechanism[i]
	return bytes


func _property(name, value):
	var bytes = PackedByteArray([name.length()])
	bytes.append_array(name.to_ascii_buffer())
	bytes.append_array(PackedByteArray([0, 0, 0, value.length()]))
	bytes.append_array(value.to_ascii_buffer())
	return bytes


# Returns the ASCII text of at most that many bytes; it ends at a zero, and other bytes become `?`.
func _word(begin, size):
	var text = PackedByteArray()
	for i in range(begin, int(min(begin + size, _in.size()))):
		if _in[i] == 0:
			break
		text.append(_in[i] if _in[i] >= 0x20 and _in[i] < 0x7F else 0x3F)
	return text.get_string_from_ascii()


func _slice(begin, size):
	if size == 0:
		return PackedByteArray()
	return _in.slice(begin, begin + size)


func _fail(why):
	state = FAILED
	failure = why
	_in = PackedByteArray()
	_at = 0
