extends Reference
# One msgpack frame to a Dictionary, in steps that keep a deadline: a long frame is decoded over
# several game frames, and no nesting of any depth uses this script's call stack.
#
# Refused: whatever is not one map of text keys, binary and extension types, NaN and infinities,
# integers beyond 64 signed bits, duplicate keys, more than 4096 items in one map or array, nesting
# deeper than the limit, bytes behind the map.

const Errors = preload("errors.gd")
const Utf8 = preload("utf8.gd")

const MAX_ITEMS = 4096
# Text is checked in pieces of this many bytes; the clock is read after each, and after so many
# items.
const TEXT_STEP_BYTES = 256
const ITEMS_STEP = 16

# The message, once `step` has returned true and `error` is null.
var value = null
# Why the frame is refused, or null.
var error = null

var _in = StreamPeerBuffer.new()
var _size = 0
var _max_depth = 0
var _is_done = false
var _text = null
# The maps and arrays around the next item, outermost first; how many items each still misses; and
# for each the key that waits for its value (null: none, or an array).
var _open = []
var _missing = []
var _keys = []


# max_depth counts nested maps and arrays, the message itself is 1.
func _init(frame, max_depth):
	_in.big_endian = true
	_in.data_array = frame
	_size = frame.size()
	_max_depth = max_depth


# Decodes until the frame ends or OS.get_ticks_usec() passes deadline_us.
# Returns whether it is over; then `error` is set or `value` is the message.
func step(deadline_us):
	while true:
		for _item in range(ITEMS_STEP):
			if _is_done:
				return true
			if _text != null:
				_go_on_with_text()
				if _text != null:
					break
			else:
				_take_item()
		if _is_done:
			return true
		if OS.get_ticks_usec() >= deadline_us:
			return false


func _take_item():
	if not _has(1):
		return
	var head = _in.get_u8()
	var wants_key = not _open.empty() and _wants_key()
	if head >= 0xA0 and head < 0xC0:
		_begin_text(head & 0x1F)
	elif head >= 0xD9 and head <= 0xDB:
		_begin_text(_get_size(head - 0xD9))
	elif wants_key:
		_refuse("a map key is not text")
	elif _open.empty() and not _is_map(head):
		_refuse("a message is a msgpack map")
	elif head < 0x80:
		_take(head)
	elif head < 0x90:
		_begin_items({}, head & 0x0F)
	elif head < 0xA0:
		_begin_items([], head & 0x0F)
	elif head >= 0xE0:
		_take(head - 0x100)
	else:
		_take_wide(head)


func _take_wide(head):
	match head:
		0xC0:
			_take(null)
		0xC2:
			_take(false)
		0xC3:
			_take(true)
		0xCA:
			if _has(4):
				_take_float(_in.get_float())
		0xCB:
			if _has(8):
				_take_float(_in.get_double())
		0xCC, 0xCD, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD3:
			_take_int(head)
		0xDC, 0xDD:
			_begin_items([], _get_size(head - 0xDB))
		0xDE, 0xDF:
			_begin_items({}, _get_size(head - 0xDD))
		_:
			_refuse("byte 0x%02x: a type that has no place in a message" % head)


func _take_int(head):
	if not _has(1 << ((head - 0xCC) & 3)):
		return
	match head:
		0xCC:
			_take(_in.get_u8())
		0xCD:
			_take(_in.get_u16())
		0xCE:
			_take(_in.get_u32())
		0xCF:
			var number = _in.get_u64()
			# Beyond 2^63 - 1 it wraps around.
			if number < 0:
				_refuse("an integer does not fit 64 signed bits")
			else:
				_take(number)
		0xD0:
			_take(_in.get_8())
		0xD1:
			_take(_in.get_16())
		0xD2:
			_take(_in.get_32())
		0xD3:
			_take(_in.get_64())


func _take_float(number):
	if is_nan(number) or is_inf(number):
		_refuse("a number is NaN or infinite")
	else:
		_take(number)


# The length behind a header: 1, 2 or 4 bytes wide for power 0, 1, 2. -1 with `error` where cut.
func _get_size(power):
	if not _has(1 << power):
		return -1
	match power:
		0:
			return _in.get_u8()
		1:
			return _in.get_u16()
	return _in.get_u32()


func _begin_text(size):
	if size < 0 or not _has(size):
		return
	if size == 0:
		_take_text("")
		return
	_text = Utf8.new(_in.get_data(size)[1])
	_go_on_with_text()


func _go_on_with_text():
	if not _text.step(TEXT_STEP_BYTES):
		return
	var text = _text
	_text = null
	if text.is_valid:
		_take_text(text.text())
	else:
		_refuse("text that is not UTF-8")


func _take_text(text):
	if _open.empty():
		_refuse("a message is a msgpack map")
	elif not _wants_key():
		_take(text)
	elif _open[-1].has(text):
		_refuse("a map has the same key twice")
	else:
		_keys[-1] = text


func _begin_items(items, size):
	if size < 0:
		return
	if _open.size() >= _max_depth:
		_refuse("nested too deep")
	elif size > MAX_ITEMS:
		_refuse("a map or array of %d items; at most %d are accepted" % [size, MAX_ITEMS])
	else:
		_open.append(items)
		_missing.append(size)
		_keys.append(null)
		_end_full()


func _take(item):
	if typeof(_open[-1]) == TYPE_ARRAY:
		_open[-1].append(item)
	else:
		_open[-1][_keys[-1]] = item
		_keys[-1] = null
	_missing[-1] -= 1
	_end_full()


# Takes every map or array that misses nothing any more into the one around it.
func _end_full():
	while _missing[-1] == 0:
		var items = _open.pop_back()
		_missing.pop_back()
		_keys.pop_back()
		if _open.empty():
			_end(items)
			return
		if typeof(_open[-1]) == TYPE_ARRAY:
			_open[-1].append(items)
		else:
			_open[-1][_keys[-1]] = items
			_keys[-1] = null
		_missing[-1] -= 1


func _end(items):
	if _in.get_position() < _size:
		_refuse("bytes behind the message")
	else:
		value = items
		_is_done = true


func _wants_key():
	return typeof(_open[-1]) == TYPE_DICTIONARY and _keys[-1] == null


func _is_map(head):
	return (head >= 0x80 and head < 0x90) or head == 0xDE or head == 0xDF


func _has(num_bytes):
	if _size - _in.get_position() >= num_bytes:
		return true
	_refuse("cut short")
	return false


func _refuse(why):
	error = Errors.make(
		Errors.MALFORMED_MESSAGE,
		"not a message: %s" % why,
		"see whether an NPC engine of this client's release listens there"
	)
	_is_done = true
