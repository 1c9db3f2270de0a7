// Plain data as a message carries it: nil, booleans, integers, floats, text, arrays and maps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace npc_engine {

class Value;

using Array = std::vector<Value>;
using Map = std::map<std::string, Value, std::less<>>;

/// One piece of data. Reading it as another type than it has gives nothing, never a conversion, with one
/// exception: an integer may be read as a number.
class Value {
public:
    Value() = default;
    Value(std::nullptr_t) {}
    Value(std::string text) : data_(std::move(text)) {}
    Value(std::string_view text) : data_(std::string(text)) {}
    Value(const char* text) : data_(std::string(text)) {}
    Value(Array items) : data_(std::move(items)) {}
    Value(Map fields) : data_(std::move(fields)) {}

    // Exact, so that a pointer does not become `true`. An unsigned 64-bit integer may not fit: cast it where it does.
    template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
    Value(T number) {
        if constexpr (std::is_same_v<T, bool>) {
            data_ = number;
        } else if constexpr (std::is_floating_point_v<T>) {
            data_ = static_cast<double>(number);
        } else {
            static_assert(std::is_signed_v<T> || sizeof(T) < sizeof(std::int64_t), "cast it to std::int64_t");
            data_ = static_cast<std::int64_t>(number);
        }
    }
    template <class T>
    Value(T*) = delete;

    bool is_null() const { return std::holds_alternative<std::nullptr_t>(data_); }

    std::optional<bool> boolean() const { return copy<bool>(); }
    std::optional<std::int64_t> integer() const { return copy<std::int64_t>(); }

    /// A float, or an integer as one.
    std::optional<double> number() const {
        if (const auto* whole = std::get_if<std::int64_t>(&data_)) {
            return static_cast<double>(*whole);
        }
        return copy<double>();
    }

    /// Null where the value is of another type; it lives as long as this value.
    const std::string* text() const { return std::get_if<std::string>(&data_); }
    const Array* array() const { return std::get_if<Array>(&data_); }
    const Map* map() const { return std::get_if<Map>(&data_); }

    bool boolean_or(bool fallback) const { return boolean().value_or(fallback); }
    std::int64_t integer_or(std::int64_t fallback) const { return integer().value_or(fallback); }
    double number_or(double fallback) const { return number().value_or(fallback); }
    std::string text_or(std::string fallback) const { return text() != nullptr ? *text() : std::move(fallback); }

    /// Equal in type and value: 2 is not 2.0.
    friend bool operator==(const Value& left, const Value& right) { return left.data_ == right.data_; }
    friend bool operator!=(const Value& left, const Value& right) { return !(left == right); }

private:
    template <class T>
    std::optional<T> copy() const {
        const T* held = std::get_if<T>(&data_);
        return held != nullptr ? std::optional<T>(*held) : std::nullopt;
    }

    std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Map> data_;
};

/// The value under `key`, or nil where there is none.
inline const Value& get(const Map& fields, std::string_view key) {
    static const Value nil;
    const auto found = fields.find(key);
    return found == fields.end() ? nil : found->second;
}

}  // namespace npc_engine
