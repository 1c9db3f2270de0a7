// What is open, what waits to be sent, and what poll() is to call. No lock, no socket, no reading of the clock:
// Connection holds all three.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "npc_engine/codec.hpp"
#include "npc_engine/completion.hpp"
#include "npc_engine/messages.hpp"
#include "npc_engine/schema.hpp"

namespace npc_engine::detail {

using Clock = std::chrono::steady_clock;

/// One call that poll() is to make.
struct Delivery {
    std::shared_ptr<Sink> sink;
    Result<Reply> reply;
};

/// How a request is to be handled.
struct RequestTerms {
    Clock::duration patience{};     ///< How long it may be silent.
    bool is_turn = false;           ///< Whether replies may come before its last.
    bool waits_for_welcome = true;  ///< hello alone does not.
};

class RequestTable {
public:
    /// Queues a request and returns its id; queues its refusal instead where it is not legal.
    std::int64_t ask(std::string_view kind, Map fields, Sink sink, const RequestTerms& terms, Clock::time_point now) {
        const std::int64_t request_id = next_id_++;
        fields.insert_or_assign("kind", kind);
        fields.insert_or_assign("request_id", request_id);
        auto problem = schema::refuse_request(fields);
        auto frame = problem ? Result<std::string>(std::move(*problem)) : pack(fields, limits);
        if (!frame) {
            refuse(std::move(sink), frame.error());
            return request_id;
        }
        (is_welcome_ || !terms.waits_for_welcome ? outbox_ : held_).push_back(std::move(*frame));
        pending_.emplace(request_id, Pending{std::string(kind), std::make_shared<Sink>(std::move(sink)), terms,
                                             now + terms.patience});
        return request_id;
    }

    /// Queues a request whose answer nobody waits for.
    void ask_blindly(std::string_view kind) {
        if (auto frame = pack(Map{{"kind", kind}, {"request_id", next_id_++}}, limits)) {
            outbox_.push_back(std::move(*frame));
        }
    }

    /// Queues the failure of a request that is not sent.
    void refuse(Sink sink, Error error) { deliver(std::make_shared<Sink>(std::move(sink)), std::move(error)); }

    /// Queues one call.
    void deliver(std::shared_ptr<Sink> sink, Result<Reply> reply) {
        ready_.push_back({std::move(sink), std::move(reply)});
    }

    /// Lets go what waited for the welcome.
    void open_gate() {
        is_welcome_ = true;
        std::move(held_.begin(), held_.end(), std::back_inserter(outbox_));
        held_.clear();
    }

    /// Queues the failure of everything that is open; nothing more is sent.
    void end(const Error& error) {
        for (auto& [request_id, pending] : pending_) {
            deliver(std::move(pending.sink), error);
        }
        pending_.clear();
        outbox_.clear();
        held_.clear();
        is_welcome_ = false;
        limits = CodecLimits();
    }

    /// Queues a reply for whoever asked. False where nobody waits for it.
    bool dispatch(std::int64_t request_id, Result<Reply> reply, Clock::time_point now) {
        const auto found = pending_.find(request_id);
        if (found == pending_.end()) {
            return false;
        }
        Pending& pending = found->second;
        const bool is_over = !pending.terms.is_turn || !reply || is_last(*reply);
        pending.deadline = now + pending.terms.patience;
        deliver(pending.sink, std::move(reply));
        if (is_over) {
            pending_.erase(found);
        }
        return true;
    }

    bool is_open(std::int64_t request_id) const { return pending_.count(request_id) != 0; }

    /// Queues NPC311 for what has waited too long.
    void fail_late(const std::string& address, Clock::time_point now) {
        for (auto each = pending_.begin(); each != pending_.end();) {
            Pending& pending = each->second;
            if (now < pending.deadline) {
                ++each;
                continue;
            }
            const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(pending.terms.patience).count();
            deliver(std::move(pending.sink),
                    Error(codes::request_timeout,
                          "no answer to " + pending.kind + " from " + address + " within " + std::to_string(ms) + " ms",
                          "see whether `npc-engine serve` runs there and has the keys this client expects"));
            each = pending_.erase(each);
        }
    }

    /// When the first request will have waited too long.
    std::optional<Clock::time_point> next_deadline() const {
        std::optional<Clock::time_point> next;
        for (const auto& [request_id, pending] : pending_) {
            next = std::min<Clock::time_point>(next.value_or(pending.deadline), pending.deadline);
        }
        return next;
    }

    bool has_work() const { return !ready_.empty() || !outbox_.empty(); }
    std::size_t num_ready() const { return ready_.size(); }

    /// The next call, in the order in which they were queued.
    std::optional<Delivery> take_delivery() {
        if (ready_.empty()) {
            return std::nullopt;
        }
        std::optional<Delivery> next(std::move(ready_.front()));
        ready_.pop_front();
        return next;
    }

    /// The frames to send now.
    std::vector<std::string> take_outbox() { return std::exchange(outbox_, {}); }

    /// The server's, after the welcome.
    CodecLimits limits;

private:
    struct Pending {
        std::string kind;
        std::shared_ptr<Sink> sink;
        RequestTerms terms;
        Clock::time_point deadline;
    };

    std::int64_t next_id_ = 1;
    bool is_welcome_ = false;
    std::map<std::int64_t, Pending> pending_;
    std::vector<std::string> outbox_;
    std::vector<std::string> held_;  // until the welcome
    std::deque<Delivery> ready_;
};

}  // namespace npc_engine::detail
