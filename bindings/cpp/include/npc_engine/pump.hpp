// A thread that polls, for programs without a loop.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "npc_engine/client.hpp"

namespace npc_engine {

/// Polls a client in a thread of its own, from construction to destruction: callbacks come in that thread, and futures
/// may be waited for in any other. A callback that throws ends the program. Destroy it before the client.
class Pump {
public:
    explicit Pump(Client& client) : client_(client), thread_([this] { run(); }) {}

    /// Waits for the callback that is running, if one is.
    ~Pump() {
        is_stopping_ = true;
        client_.wake();
        thread_.join();
    }
    Pump(const Pump&) = delete;
    Pump& operator=(const Pump&) = delete;

private:
    void run() noexcept {
        // Short enough that a wake-up missed between the test and the wait costs nothing that is felt.
        constexpr std::chrono::milliseconds longest_wait(100);
        while (!is_stopping_) {
            client_.wait_for(longest_wait);
            client_.poll();
        }
    }

    Client& client_;
    std::atomic<bool> is_stopping_{false};
    std::thread thread_;
};

}  // namespace npc_engine
