// Coded errors, and the value-or-error that every answer arrives as. Throws only in Result::value().
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace npc_engine {

// The codes that this library itself reports. The server sends others too: docs/errors/ has a page for each.
namespace codes {
inline constexpr std::string_view config_error = "NPC001";
inline constexpr std::string_view malformed_message = "NPC201";
inline constexpr std::string_view invalid_message = "NPC202";
inline constexpr std::string_view unknown_kind = "NPC203";
inline constexpr std::string_view unsupported_version = "NPC204";
inline constexpr std::string_view frame_too_large = "NPC206";
inline constexpr std::string_view conversation_closed = "NPC303";
inline constexpr std::string_view request_timeout = "NPC311";
inline constexpr std::string_view connection_lost = "NPC313";
}  // namespace codes

/// What went wrong. Match on `code`, never on `message`; take a code that you do not know by its hundred ("NPC3").
struct Error {
    std::string code;     ///< Stable, such as "NPC306".
    std::string message;  ///< What is wrong, for a developer.
    std::string hint;     ///< The next step; may be empty.
    std::optional<double> retry_after_s = std::nullopt;  ///< For NPC306: when to try again, seconds.

    Error() = default;
    Error(std::string_view code_, std::string message_, std::string hint_ = {},
          std::optional<double> retry_after_s_ = std::nullopt)
        : code(code_), message(std::move(message_)), hint(std::move(hint_)), retry_after_s(retry_after_s_) {}

    bool is(std::string_view other) const { return code == other; }

    /// "CODE: message (hint)", for a log.
    std::string describe() const {
        return code + ": " + message + (hint.empty() ? std::string() : " (" + hint + ")");
    }
};

/// Thrown by Result::value() alone, which this library never calls.
class Failure : public std::runtime_error {
public:
    explicit Failure(Error error) : std::runtime_error(error.describe()), error_(std::move(error)) {}

    const Error& error() const { return error_; }

private:
    Error error_;
};

/// A value of T, or the Error that came instead.
template <class T>
class Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    /// The value. Only where ok().
    T& operator*() { return *std::get_if<0>(&state_); }
    const T& operator*() const { return *std::get_if<0>(&state_); }
    T* operator->() { return std::get_if<0>(&state_); }
    const T* operator->() const { return std::get_if<0>(&state_); }

    /// The error. Only where not ok().
    const Error& error() const { return *std::get_if<1>(&state_); }

    /// The value; throws Failure where there is none.
    T& value() {
        if (!ok()) {
            throw Failure(error());
        }
        return **this;
    }
    const T& value() const {
        if (!ok()) {
            throw Failure(error());
        }
        return **this;
    }

private:
    std::variant<T, Error> state_;
};

}  // namespace npc_engine
