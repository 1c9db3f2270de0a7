extends RefCounted
# Checks in small steps that bytes are UTF-8. The engine's own decoder prints to the console for
# bytes that are not, lets surrogates through and stops at a zero byte, so they are checked first.

var is_valid = true
var has_zero = false

var _bytes = null
var _at = 0
var _missing = 0
var _low = 0x80
var _high = 0xBF


func _init(bytes):
	_bytes = bytes


# Checks up to max_bytes more. Returns whether the check is over; then is_valid tells.
func step(max_bytes):
	# Locals, since this loop is most of what a long text costs.
	var bytes = _bytes
	var at = _at
	var end = int(min(bytes.size(), at + max_bytes))
	while at < end and is_valid:
		var byte = bytes[at]
		at += 1
		if byte < 0x80:
			if byte == 0:
				has_zero = true
			is_valid = _missing == 0
		elif _missing > 0:
			is_valid = byte >= _low and byte <= _high
			_missing -= 1
			_low = 0x80
			_high = 0xBF
		else:
			_begin(byte)
	_at = at
	if at == bytes.size() and _missing > 0:
		is_valid = false
	return at == bytes.size() or not is_valid


# Returns the text of checked bytes. Godot's strings cannot hold a zero: it becomes U+FFFD.
func text():
	if not has_zero:
		return _bytes.get_string_from_utf8()
	var replaced = PackedByteArray()
	for byte in _bytes:
		if byte == 0:
			replaced.append_array(PackedByteArray([0xEF, 0xBF, 0xBD]))
		else:
			replaced.append(byte)
	return replaced.get_string_from_utf8()


func _begin(byte):
	if byte < 0xC2 or byte > 0xF4:
		is_valid = false
	elif byte < 0xE0:
		_missing = 1
	elif byte < 0xF0:
		_missing = 2
		# No overlong form, no surrogate.
		_low = 0xA0 if byte == 0xE0 else 0x80
		_high = 0x9F if byte == 0xED else 0xBF
	else:
		_missing = 3
		# No overlong form, nothing beyond U+10FFFF.
		_low = 0x90 if byte == 0xF0 else 0x80
		_high = 0x8F if byte == 0xF4 else 0xBF
