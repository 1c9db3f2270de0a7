// One connection: its socket, its lock, and who may do what when.
//
// Any thread may ask; one thread at a time polls, and only it touches the socket. What poll() is to call is queued and
// called without the lock, so that callbacks may ask for more.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "npc_engine/codec.hpp"
#include "npc_engine/completion.hpp"
#include "npc_engine/detail/request_table.hpp"
#include "npc_engine/messages.hpp"
#include "npc_engine/options.hpp"
#include "npc_engine/socket.hpp"

namespace npc_engine::detail {

class Connection {
public:
    explicit Connection(ClientOptions options)
        : options_(std::move(options)),
          wake_in_(context_, ZMQ_PAIR),
          wake_out_(context_, ZMQ_PAIR),
          error_sink_(std::make_shared<Sink>(to_error_handler(options_.on_error))),
          lost_sink_(std::make_shared<Sink>(to_error_handler(options_.on_lost))) {
        zmq_bind(wake_in_.raw(), "inproc://wake");
        zmq_connect(wake_out_.raw(), "inproc://wake");
    }

    /// Begins anew: what was open fails with NPC313 and the next poll() connects. `sink` gets the welcome.
    void connect(Sink sink) {
        const std::lock_guard lock(mutex_);
        if (is_shut_down_) {
            return;
        }
        table_.end(lost("the client connects anew", "wait for the answer first"));
        should_open_ = true;
        state_ = ConnectionState::connecting;
        hello_id_ = table_.ask("hello", Map{{"protocol_version", protocol_version}, {"client", options_.name}},
                               std::move(sink), {options_.timeout, false, false}, Clock::now());
        wake_locked();
    }

    /// Disconnects; what is open fails with NPC313 in the next poll().
    void close() {
        {
            const std::lock_guard lock(mutex_);
            if (state_ == ConnectionState::disconnected) {
                return;
            }
            table_.end(lost("the client was closed", "connect again"));
            state_ = ConnectionState::disconnected;
            should_close_ = true;
            should_open_ = false;
            wake_locked();
        }
        // Where another thread polls, or this one in a callback, that poll() disconnects.
        if (!is_polling_.exchange(true, std::memory_order_acquire)) {
            update_socket();
            is_polling_.store(false, std::memory_order_release);
        }
    }

    /// Disconnects and drops every callback uncalled. Nobody may be polling.
    void shut_down() {
        RequestTable dropped;
        {
            const std::lock_guard lock(mutex_);
            is_shut_down_ = true;
            state_ = ConnectionState::disconnected;
            // Freed without the lock: what callbacks hold may call this client when it goes.
            std::swap(dropped, table_);
        }
        socket_.close();
    }

    /// Sends a request; `sink` gets its replies and the error that ends it. Returns at once.
    void submit(std::string_view kind, Map fields, Sink sink, bool is_turn = false) {
        const std::lock_guard lock(mutex_);
        if (is_shut_down_) {
            return;
        }
        if (state_ == ConnectionState::disconnected) {
            table_.refuse(std::move(sink), lost("this client is not connected", "call connect() first"));
        } else {
            const Clock::duration patience = is_turn ? turn_deadline_ + options_.timeout : options_.timeout;
            table_.ask(kind, std::move(fields), std::move(sink), {patience, is_turn, true}, Clock::now());
        }
        wake_locked();
    }

    /// Fails, in poll(), a request that is not to be sent.
    void refuse(Sink sink, Error error) {
        const std::lock_guard lock(mutex_);
        if (!is_shut_down_) {
            table_.refuse(std::move(sink), std::move(error));
            wake_locked();
        }
    }

    /// Tells ClientOptions::on_error. For callbacks of poll() alone.
    void report(const Error& error) const {
        if (options_.on_error) {
            options_.on_error(error);
        }
    }

    /// Sends, receives and calls; returns the number of calls made. 0 where another thread polls.
    std::size_t poll() {
        if (is_polling_.exchange(true, std::memory_order_acquire)) {
            return 0;
        }
        // Also when a callback throws.
        struct Guard {
            Connection& connection;
            ~Guard() {
                connection.update_socket();
                connection.is_polling_.store(false, std::memory_order_release);
            }
        } guard{*this};
        const Clock::time_point enough = Clock::now() + options_.poll_budget;
        update_socket();
        send_queued();
        // Events before replies: what came before the loss is still delivered.
        read_events();
        fail_late();
        std::size_t num_delivered = deliver();
        bool is_drained = false;
        do {
            is_drained = !receive_one();
            num_delivered += deliver();
        } while (!is_drained && Clock::now() < enough);
        if (is_drained && failure_) {
            lose(*failure_);
            num_delivered += deliver();
        }
        update_socket();
        send_queued();
        return num_delivered;
    }

    /// Waits until poll() has something to do; false where the time passed or another thread polls.
    bool wait_for(std::chrono::milliseconds timeout) {
        if (is_polling_.exchange(true, std::memory_order_acquire)) {
            return false;
        }
        const long wait_ms = begin_waiting(timeout);
        bool has_something = wait_ms == 0;
        if (!has_something) {
            zmq_pollitem_t items[] = {{wake_in_.raw(), 0, ZMQ_POLLIN, 0},
                                      {socket_.raw_dealer(), 0, ZMQ_POLLIN, 0},
                                      {socket_.raw_monitor(), 0, ZMQ_POLLIN, 0}};
            has_something = zmq_poll(items, socket_.is_open() ? 3 : 1, wait_ms) > 0;
            ZmqFrame wake_up;
            while (wake_in_.receive(wake_up)) {
            }
            const std::lock_guard lock(mutex_);
            is_waiting_ = false;
        }
        is_polling_.store(false, std::memory_order_release);
        return has_something;
    }

    /// Ends a wait_for in another thread.
    void wake() {
        const std::lock_guard lock(mutex_);
        wake_locked();
    }

    ConnectionState state() const {
        const std::lock_guard lock(mutex_);
        return state_;
    }

private:
    static Error lost(std::string message, std::string hint) {
        return Error(codes::connection_lost, std::move(message), std::move(hint));
    }

    static Clock::duration seconds(double count) {
        // A year is for ever, and a larger count would not fit.
        constexpr double most = 31e6;
        return std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(std::clamp(count, 0.0, most)));
    }

    static Sink to_error_handler(const std::function<void(const Error&)>& handler) {
        return [handler](Result<Reply> reply) {
            if (handler) {
                handler(reply ? std::get<Error>(*reply) : reply.error());
            }
        };
    }

    // --- with the lock held ---------------------------------------------------------------------

    bool is_changing() const { return should_open_ || should_close_; }

    void wake_locked() {
        if (is_waiting_) {
            is_waiting_ = false;
            wake_out_.send("");
        }
    }

    // Takes the answer to hello; one that is no welcome ends the connection.
    Result<Reply> greet(Result<Reply> reply) {
        auto answer = answer_of<Welcome>(std::move(reply));
        if (answer && answer->protocol_version != protocol_version) {
            answer = Error(codes::unsupported_version,
                           "the server speaks protocol version " + std::to_string(answer->protocol_version),
                           "use a client and an engine of the same release");
        }
        if (!answer) {
            failure_ = answer.error();
            return *failure_;
        }
        const ConnectionLimits& limits = answer->limits;
        table_.limits.max_frame_bytes = static_cast<std::size_t>(std::max<std::int64_t>(0, limits.max_frame_bytes));
        table_.limits.max_depth = static_cast<std::size_t>(std::max<std::int64_t>(0, limits.max_message_depth));
        turn_deadline_ = seconds(limits.turn_deadline_s);
        // Not below a second, whatever the server says: health is not worth more than that.
        keep_alive_ = std::max<Clock::duration>(seconds(limits.client_timeout_s / signs_of_life), seconds(1.0));
        state_ = ConnectionState::ready;
        table_.open_gate();
        return Reply(std::move(*answer));
    }

    void dispatch(std::optional<std::int64_t> request_id, Result<Reply> reply) {
        const bool is_awaited = request_id && table_.is_open(*request_id);
        if (is_awaited) {
            table_.dispatch(*request_id, *request_id == hello_id_ ? greet(std::move(reply)) : std::move(reply),
                            Clock::now());
        } else if (!reply || std::holds_alternative<Error>(*reply)) {
            // A late answer is dropped, but an error may be all that tells of a mistake.
            table_.deliver(error_sink_, std::move(reply));
        }
    }

    // --- in poll() alone ------------------------------------------------------------------------

    void update_socket() {
        bool is_opening = false;
        {
            const std::lock_guard lock(mutex_);
            if (!is_changing()) {
                return;
            }
            is_opening = std::exchange(should_open_, false);
            should_close_ = false;
        }
        failure_.reset();
        is_up_ = false;
        socket_.close();
        if (is_opening) {
            failure_ = socket_.open(context_, options_.address, options_.keys, max_socket_frame_bytes);
        }
    }

    void send_queued() {
        std::vector<std::string> frames;
        {
            const std::lock_guard lock(mutex_);
            if (failure_ || is_changing()) {
                return;
            }
            if (state_ == ConnectionState::ready && Clock::now() - last_sent_ >= keep_alive_) {
                table_.ask_blindly("health");
            }
            frames = table_.take_outbox();
        }
        for (const std::string& frame : frames) {
            last_sent_ = Clock::now();
            if (!socket_.send(frame)) {
                failure_ = lost("the server at " + options_.address + " reads nothing and the queue is full",
                                "see whether it is overloaded or stopped in a debugger");
                return;
            }
        }
    }

    void read_events() {
        while (!failure_ && socket_.is_open()) {
            const auto event = socket_.read_event();
            if (!event) {
                return;
            }
            if (*event == SocketEvent::connected) {
                is_up_ = true;
            } else if (*event == SocketEvent::refused) {
                failure_ = lost("the server at " + options_.address + " refused the connection",
                                "its CURVE keys and this client's do not match, or no ZeroMQ server listens there");
            } else if (is_up_) {
                failure_ = lost("the server at " + options_.address + " closed the connection",
                                "see whether it still runs, its log says why it stopped; then connect again");
            }
        }
    }

    void fail_late() {
        const std::lock_guard lock(mutex_);
        const bool is_greeting = state_ == ConnectionState::connecting && table_.is_open(hello_id_);
        table_.fail_late(options_.address, Clock::now());
        if (is_greeting && !table_.is_open(hello_id_) && !failure_) {
            failure_ = Error(codes::request_timeout, "no welcome from " + options_.address,
                             "see whether `npc-engine serve` runs there");
        }
    }

    // Whether there was a frame.
    bool receive_one() {
        ZmqFrame frame;
        if (!socket_.is_open() || !socket_.receive(frame)) {
            return false;
        }
        bool is_single = true;
        while (frame.has_more() && socket_.receive(frame)) {
            is_single = false;
        }
        CodecLimits limits;
        {
            const std::lock_guard lock(mutex_);
            limits = table_.limits;
        }
        auto fields = is_single ? unpack(frame.bytes(), limits) : malformed("a message of several frames");
        const auto request_id = fields ? schema::request_id_of(*fields) : std::nullopt;
        auto reply = fields ? parse_reply(*fields) : Result<Reply>(fields.error());
        const std::lock_guard lock(mutex_);
        // Nobody waits for what an ended connection still brings.
        if (!is_changing()) {
            dispatch(request_id, std::move(reply));
        }
        return true;
    }

    void lose(const Error& why) {
        const Error error = why;
        failure_.reset();
        {
            const std::lock_guard lock(mutex_);
            // Somebody closed or connects anew meanwhile: what is open now is not of this connection.
            if (is_changing()) {
                return;
            }
            const bool was_ready = state_ == ConnectionState::ready;
            table_.end(error);
            state_ = ConnectionState::disconnected;
            if (was_ready) {
                table_.deliver(lost_sink_, error);
            }
        }
        socket_.close();
        is_up_ = false;
    }

    // Only what is queued now: a callback that always asks for more must not hold the frame.
    std::size_t deliver() {
        std::size_t num_left = 0;
        {
            const std::lock_guard lock(mutex_);
            num_left = table_.num_ready();
        }
        std::size_t num_delivered = 0;
        for (; num_left > 0; --num_left) {
            std::optional<Delivery> next;
            {
                const std::lock_guard lock(mutex_);
                next = table_.take_delivery();
            }
            if (next) {
                ++num_delivered;
                (*next->sink)(std::move(next->reply));
            }
        }
        return num_delivered;
    }

    // How long to wait, milliseconds; 0 where poll() has something to do.
    long begin_waiting(std::chrono::milliseconds timeout) {
        const std::lock_guard lock(mutex_);
        if (table_.has_work() || is_changing() || failure_) {
            return 0;
        }
        // Never std::min(...) or max() bare: windows.h may have made macros of them.
        Clock::time_point end = Clock::now() + timeout;
        end = std::min<Clock::time_point>(end, table_.next_deadline().value_or(end));
        if (state_ == ConnectionState::ready) {
            end = std::min<Clock::time_point>(end, last_sent_ + keep_alive_);
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
        is_waiting_ = left > 0;
        return static_cast<long>(std::max<std::int64_t>(0, left));
    }

    /// Requests for `health` per client_timeout_s while the client is silent.
    static constexpr double signs_of_life = 3.0;
    /// A larger frame costs the connection, as it does on the server.
    static constexpr std::int64_t max_socket_frame_bytes = std::int64_t{16} << 20;

    const ClientOptions options_;
    ZmqContext context_;
    ZmqSocket wake_in_;
    ZmqSocket wake_out_;
    std::atomic<bool> is_polling_{false};

    // Of whoever polls.
    DealerSocket socket_;
    bool is_up_ = false;
    std::optional<Error> failure_;  // why the connection is over, once its last replies are delivered
    Clock::time_point last_sent_ = Clock::now();

    mutable std::mutex mutex_;  // guards the rest
    ConnectionState state_ = ConnectionState::disconnected;
    bool should_open_ = false;
    bool should_close_ = false;
    bool is_waiting_ = false;
    bool is_shut_down_ = false;
    std::int64_t hello_id_ = 0;
    Clock::duration turn_deadline_ = std::chrono::seconds(60);
    Clock::duration keep_alive_ = std::chrono::hours(1);
    RequestTable table_;
    std::shared_ptr<Sink> error_sink_;
    std::shared_ptr<Sink> lost_sink_;
};

}  // namespace npc_engine::detail
