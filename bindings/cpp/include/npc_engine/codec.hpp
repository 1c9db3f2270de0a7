// Bytes to plain data and back: one msgpack map a frame, within limits. No I/O, and no exceptions but bad_alloc.
//
// Refused beyond bad msgpack: keys that are not text, a key twice, binary and extension types, NaN and infinities,
// integers outside 64 signed bits, text that is not UTF-8, and anything behind the map.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Behind the standard headers, some of which msgpack-cxx's own leave out. All it takes from Boost is byte order and type
// adaptors, which are not used here.
#ifndef MSGPACK_NO_BOOST
#define MSGPACK_NO_BOOST
#endif
#include <msgpack/null_visitor.hpp>
#include <msgpack/pack.hpp>
#include <msgpack/unpack.hpp>

#include "npc_engine/detail/utf8.hpp"
#include "npc_engine/errors.hpp"
#include "npc_engine/value.hpp"

namespace npc_engine {

/// What one side accepts in a frame.
struct CodecLimits {
    std::size_t max_frame_bytes = std::size_t{1} << 20;
    std::size_t max_depth = 16;  ///< Deepest nesting of maps and arrays; the message's own map is 1.
};

namespace detail {

inline constexpr std::size_t max_items = 4096;

inline Error malformed(std::string reason, std::string hint = "send one msgpack map a frame") {
    return Error(codes::malformed_message, std::move(reason), std::move(hint));
}

inline Error too_large(std::size_t num_bytes, const CodecLimits& limits) {
    return Error(codes::frame_too_large,
                 "a frame of " + std::to_string(num_bytes) + " bytes; at most " +
                     std::to_string(limits.max_frame_bytes) + " are accepted",
                 "shorten the text or the data; the limit is max_frame_bytes");
}

// Builds the data while msgpack-cxx walks the bytes; every visit that returns false ends the walk.
class Builder : public msgpack::null_visitor {
public:
    explicit Builder(std::size_t max_depth) : max_depth_(max_depth) {}

    bool visit_nil() { return add(Value()); }
    bool visit_boolean(bool value) { return add(Value(value)); }
    bool visit_positive_integer(std::uint64_t value) {
        if (value > static_cast<std::uint64_t>(INT64_MAX)) {
            return refuse("an integer does not fit 64 signed bits");
        }
        return add(Value(static_cast<std::int64_t>(value)));
    }
    bool visit_negative_integer(std::int64_t value) { return add(Value(value)); }
    bool visit_float32(float value) { return visit_float64(static_cast<double>(value)); }
    bool visit_float64(double value) {
        return std::isfinite(value) ? add(Value(value)) : refuse("a number is NaN or infinite");
    }
    bool visit_str(const char* text, std::uint32_t num_bytes) {
        // An empty text may come with a null pointer.
        const std::string_view view = num_bytes == 0 ? std::string_view() : std::string_view(text, num_bytes);
        if (!count_characters(view)) {
            return refuse("a text is not UTF-8");
        }
        if (is_key_) {
            key_ = std::string(view);
            return true;
        }
        return add(Value(view));
    }
    bool visit_bin(const char*, std::uint32_t) { return refuse("binary data has no place in a message"); }
    bool visit_ext(const char*, std::uint32_t) { return refuse("an extension type has no place in a message"); }

    bool start_array(std::uint32_t num_items) { return open(false, num_items); }
    bool end_array() { return close(); }
    bool start_map(std::uint32_t num_items) { return open(true, num_items); }
    bool end_map() { return close(); }
    bool start_map_key() {
        is_key_ = true;
        return true;
    }
    bool end_map_key() {
        is_key_ = false;
        const Map& fields = open_.back().fields;
        return fields.find(key_) == fields.end() ? true : refuse("a map has the same key twice");
    }

    void parse_error(std::size_t, std::size_t) { refuse("not a msgpack message"); }
    void insufficient_bytes(std::size_t, std::size_t) { refuse("the message is cut short"); }

    bool is_refused() const { return !reason_.empty(); }
    const std::string& reason() const { return reason_; }
    Map& root() { return root_; }

private:
    struct Open {
        bool is_map = false;
        std::string key;
        Array items;
        Map fields;
    };

    bool refuse(const char* reason) {
        if (reason_.empty()) {
            reason_ = reason;
        }
        return false;
    }

    bool open(bool is_map, std::uint32_t num_items) {
        if (is_key_) {
            return refuse("a map key is not text");
        }
        if (open_.empty() && !is_map) {
            return refuse("a message is a map, not an array");
        }
        if (num_items > max_items) {
            return refuse("a map or array of more than 4096 items");
        }
        if (open_.size() == max_depth_) {
            return refuse("nested too deep; the limit is max_message_depth");
        }
        Open next;
        next.is_map = is_map;
        // The key of the map around it, which the keys inside would overwrite.
        next.key = std::move(key_);
        open_.push_back(std::move(next));
        return true;
    }

    bool close() {
        Open done = std::move(open_.back());
        open_.pop_back();
        key_ = std::move(done.key);
        if (open_.empty()) {
            root_ = std::move(done.fields);
            return true;
        }
        return add(done.is_map ? Value(std::move(done.fields)) : Value(std::move(done.items)));
    }

    bool add(Value value) {
        if (is_key_) {
            return refuse("a map key is not text");
        }
        if (open_.empty()) {
            return refuse("a message is a map");
        }
        Open& parent = open_.back();
        if (parent.is_map) {
            parent.fields.emplace(std::move(key_), std::move(value));
        } else {
            parent.items.push_back(std::move(value));
        }
        return true;
    }

    std::size_t max_depth_;
    std::vector<Open> open_;
    std::string key_;
    bool is_key_ = false;
    std::string reason_;
    Map root_;
};

// A msgpack stream buffer over a string.
struct StringBuffer {
    std::string bytes;
    void write(const char* data, std::size_t num_bytes) { bytes.append(data, num_bytes); }
};

class Packer : public msgpack::packer<StringBuffer> {
public:
    explicit Packer(StringBuffer& buffer) : msgpack::packer<StringBuffer>(buffer), buffer_(buffer) {}

    // Not pack_double, which writes 2.0 as the integer 2.
    void write_float(double number) {
        std::uint64_t bits = 0;
        static_assert(sizeof bits == sizeof number);
        std::memcpy(&bits, &number, sizeof bits);
        buffer_.bytes.push_back('\xcb');
        for (int shift = 56; shift >= 0; shift -= 8) {
            buffer_.bytes.push_back(static_cast<char>((bits >> shift) & 0xff));
        }
    }

private:
    StringBuffer& buffer_;
};

inline std::optional<Error> write_text(Packer& out, std::string_view text) {
    if (!count_characters(text)) {
        return malformed("a text is not UTF-8", "convert it before it is sent");
    }
    if (text.size() > UINT32_MAX) {
        return malformed("a text of more than 4 GiB", "shorten it");
    }
    const auto num_bytes = static_cast<std::uint32_t>(text.size());
    out.pack_str(num_bytes).pack_str_body(text.data(), num_bytes);
    return std::nullopt;
}

inline std::optional<Error> write_value(Packer& out, const Value& value,
                                        std::size_t depth_left);

inline std::optional<Error> write_map(Packer& out, const Map& fields,
                                      std::size_t depth_left) {
    if (depth_left == 0 || fields.size() > max_items) {
        return malformed(depth_left == 0 ? "nested too deep" : "a map of more than 4096 items", "send less data");
    }
    out.pack_map(static_cast<std::uint32_t>(fields.size()));
    for (const auto& [key, item] : fields) {
        if (auto error = write_text(out, key)) {
            return error;
        }
        if (auto error = write_value(out, item, depth_left - 1)) {
            return error;
        }
    }
    return std::nullopt;
}

inline std::optional<Error> write_value(Packer& out, const Value& value,
                                        std::size_t depth_left) {
    if (const Map* fields = value.map()) {
        return write_map(out, *fields, depth_left);
    }
    if (const Array* items = value.array()) {
        if (depth_left == 0 || items->size() > max_items) {
            return malformed(depth_left == 0 ? "nested too deep" : "an array of more than 4096 items",
                             "send less data");
        }
        out.pack_array(static_cast<std::uint32_t>(items->size()));
        for (const Value& item : *items) {
            if (auto error = write_value(out, item, depth_left - 1)) {
                return error;
            }
        }
    } else if (const std::string* text = value.text()) {
        return write_text(out, *text);
    } else if (const auto whole = value.integer()) {
        out.pack_int64(*whole);
    } else if (const auto truth = value.boolean()) {
        *truth ? out.pack_true() : out.pack_false();
    } else if (const auto number = value.number()) {
        if (!std::isfinite(*number)) {
            return malformed("a number is NaN or infinite", "send nil where there is no number");
        }
        out.write_float(*number);
    } else {
        out.pack_nil();
    }
    return std::nullopt;
}

}  // namespace detail

/// Decodes one frame. NPC206: larger than the limit, not decoded. NPC201: not one map of what the top of this file
/// allows.
inline Result<Map> unpack(std::string_view frame, const CodecLimits& limits = {}) {
    if (frame.size() > limits.max_frame_bytes) {
        return detail::too_large(frame.size(), limits);
    }
    if (frame.empty()) {
        return detail::malformed("an empty frame");
    }
    detail::Builder builder(limits.max_depth);
    std::size_t num_read = 0;
    const bool is_read = msgpack::parse(frame.data(), frame.size(), num_read, builder);
    if (!is_read || builder.is_refused()) {
        return detail::malformed(builder.is_refused() ? builder.reason() : "not a msgpack message");
    }
    if (num_read != frame.size()) {
        return detail::malformed("bytes behind the map");
    }
    return std::move(builder.root());
}

/// Encodes one message; the inverse of unpack. NPC201: data that unpack would refuse. NPC206: too large.
inline Result<std::string> pack(const Map& fields, const CodecLimits& limits = {}) {
    detail::StringBuffer buffer;
    detail::Packer out(buffer);
    if (auto error = detail::write_map(out, fields, limits.max_depth)) {
        return *error;
    }
    if (buffer.bytes.size() > limits.max_frame_bytes) {
        return detail::too_large(buffer.bytes.size(), limits);
    }
    return std::move(buffer.bytes);
}

}  // namespace npc_engine
