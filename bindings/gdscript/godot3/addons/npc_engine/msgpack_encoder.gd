extends Reference
# Data to one msgpack frame: null, bool, int (64 bits), float (double), String, Array, Dictionary.
#
# What the server would refuse is refused here: other types, NaN and infinities, keys that are not
# text, more than 4096 items, nesting deeper than the limit, frames longer than the limit.

const Errors = preload("errors.gd")

const MAX_ITEMS = 4096

# Why the last `encode` failed, or null.
var error = null

var _out = null


# Returns the frame as bytes, or null with `error` set; nothing else is kept.
# max_depth counts nested maps and arrays, the message itself is 1.
func encode(fields, max_depth, max_bytes):
	error = null
	_out = StreamPeerBuffer.new()
	_out.big_endian = true
	_put(fields, max_depth)
	var frame = _out.data_array
	_out = null
	if error == null and frame.size() > max_bytes:
		error = Errors.make(
			Errors.FRAME_TOO_LARGE,
			"a frame of %d bytes; at most %d are accepted" % [frame.size(), max_bytes],
			"shorten the text or the data; the limit is max_frame_bytes"
		)
	return frame if error == null else null


func _put(value, depth_left):
	if error != null:
		return
	match typeof(value):
		TYPE_NIL:
			_out.put_u8(0xC0)
		TYPE_BOOL:
			_out.put_u8(0xC3 if value else 0xC2)
		TYPE_INT:
			_put_int(value)
		TYPE_REAL:
			_put_float(value)
		TYPE_STRING:
			_put_text(value)
		TYPE_ARRAY:
			_put_array(value, depth_left)
		TYPE_DICTIONARY:
			_put_map(value, depth_left)
		_:
			_refuse(
				"data of Variant type %d has no place in a message" % typeof(value),
				"null, bool, int, float, String, Array and Dictionary only"
			)


func _put_int(value):
	if value >= 0:
		if value < 0x80:
			_out.put_u8(value)
		elif value < 0x100:
			_out.put_u8(0xCC)
			_out.put_u8(value)
		elif value < 0x10000:
			_out.put_u8(0xCD)
			_out.put_u16(value)
		elif value < 0x100000000:
			_out.put_u8(0xCE)
			_out.put_u32(value)
		else:
			_out.put_u8(0xCF)
			_out.put_u64(value)
	elif value >= -0x20:
		_out.put_8(value)
	elif value >= -0x80:
		_out.put_u8(0xD0)
		_out.put_8(value)
	elif value >= -0x8000:
		_out.put_u8(0xD1)
		_out.put_16(value)
	elif value >= -0x80000000:
		_out.put_u8(0xD2)
		_out.put_32(value)
	else:
		_out.put_u8(0xD3)
		_out.put_64(value)


func _put_float(value):
	if is_nan(value) or is_inf(value):
		_refuse("a number is NaN or infinite", "send null where there is no number")
		return
	_out.put_u8(0xCB)
	_out.put_double(value)


func _put_text(value):
	var bytes = value.to_utf8()
	var size = bytes.size()
	if size < 32:
		_out.put_u8(0xA0 | size)
	elif size < 0x100:
		_out.put_u8(0xD9)
		_out.put_u8(size)
	elif size < 0x10000:
		_out.put_u8(0xDA)
		_out.put_u16(size)
	else:
		_out.put_u8(0xDB)
		_out.put_u32(size)
	if size > 0:
		_out.put_data(bytes)


func _put_array(value, depth_left):
	if not _may_nest(value, depth_left):
		return
	if value.size() < 16:
		_out.put_u8(0x90 | value.size())
	else:
		_out.put_u8(0xDC)
		_out.put_u16(value.size())
	for item in value:
		_put(item, depth_left - 1)


func _put_map(value, depth_left):
	if not _may_nest(value, depth_left):
		return
	if value.size() < 16:
		_out.put_u8(0x80 | value.size())
	else:
		_out.put_u8(0xDE)
		_out.put_u16(value.size())
	for key in value:
		if typeof(key) != TYPE_STRING:
			_refuse("a map key is not text", "write every key as text, numbers too")
			return
		_put_text(key)
		_put(value[key], depth_left - 1)


func _may_nest(items, depth_left):
	if depth_left <= 0:
		_refuse("nested too deep", "the limit is max_message_depth")
	elif items.size() > MAX_ITEMS:
		_refuse(
			"a map or array of %d items; at most %d are accepted" % [items.size(), MAX_ITEMS],
			"send less data"
		)
	return error == null


func _refuse(message, hint):
	error = Errors.make(Errors.MALFORMED_MESSAGE, message, hint)
