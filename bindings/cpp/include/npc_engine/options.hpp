// What a client is made with.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "npc_engine/errors.hpp"
#include "npc_engine/keys.hpp"

namespace npc_engine {

struct ClientOptions {
    std::string address = "tcp://127.0.0.1:5570";  ///< The server's.

    /// How long one answer may take. A turn may be silent for the server's turn deadline and this.
    std::chrono::milliseconds timeout = std::chrono::seconds(10);

    std::optional<CurveKeys> keys = std::nullopt;  ///< For a server with CURVE keys.
    std::string name = "npc_engine C++";           ///< For the server's log, at most 200 characters.

    /// poll() takes no further message once it has run this long, the game's callbacks included; the rest waits for
    /// the next poll(). One message is taken in any case.
    std::chrono::microseconds poll_budget = std::chrono::microseconds(500);

    /// Takes errors that no callback of the game takes: of frames that cannot be read, and of requests without a
    /// callback. Called in poll().
    std::function<void(const Error&)> on_error = nullptr;

    /// Told once when an established connection ends otherwise than by Client::close, after the open requests have
    /// failed. Called in poll().
    std::function<void(const Error&)> on_lost = nullptr;
};

enum class ConnectionState {
    disconnected,
    connecting,  ///< From connect() to the welcome; requests wait.
    ready,
};

}  // namespace npc_engine
