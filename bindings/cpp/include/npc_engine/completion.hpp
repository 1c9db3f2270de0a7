// How an answer reaches the game: a callback that poll() calls, or a std::future that poll() fulfils.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <utility>
#include <variant>

#include "npc_engine/errors.hpp"
#include "npc_engine/messages.hpp"

namespace npc_engine {

/// Takes one answer, once, in poll(). An empty one leaves errors to ClientOptions::on_error.
template <class T>
using OnDone = std::function<void(Result<T>)>;

/// Asks for a std::future instead of a callback. It never holds an exception: get() returns a Result.
struct UseFuture {};
inline constexpr UseFuture use_future{};

namespace detail {

/// Takes each reply to one request; called in poll().
using Sink = std::function<void(Result<Reply>)>;

// A promise that is never broken: a client that is destroyed first answers with NPC313.
template <class T>
class Promised {
public:
    Promised() = default;
    ~Promised() {
        if (!is_kept_) {
            promise_.set_value(Error(codes::connection_lost, "the client is gone", "keep it until the answer is there"));
        }
    }
    Promised(const Promised&) = delete;
    Promised& operator=(const Promised&) = delete;

    std::future<Result<T>> future() { return promise_.get_future(); }

    void keep(Result<T> result) {
        is_kept_ = true;
        promise_.set_value(std::move(result));
    }

private:
    std::promise<Result<T>> promise_;
    bool is_kept_ = false;
};

/// Calls start(OnDone<T>) and returns the future of what its callback gets.
template <class T, class Start>
std::future<Result<T>> with_future(Start start) {
    auto promised = std::make_shared<Promised<T>>();
    auto future = promised->future();
    // Moved in, so that the request alone keeps the promise: dropping the request answers the future.
    start(OnDone<T>([promised = std::move(promised)](Result<T> result) { promised->keep(std::move(result)); }));
    return future;
}

/// The reply, if it is the expected answer; else the server's error, or NPC202 for another kind of reply.
template <class T>
Result<T> answer_of(Result<Reply> reply) {
    if (!reply) {
        return reply.error();
    }
    if (T* answer = std::get_if<T>(&*reply)) {
        return std::move(*answer);
    }
    if (const Error* error = std::get_if<Error>(&*reply)) {
        return *error;
    }
    return Error(codes::invalid_message, "the server answered with another kind of message than the request has");
}

}  // namespace detail
}  // namespace npc_engine
