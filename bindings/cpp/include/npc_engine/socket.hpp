// libzmq behind four owners: a context, a message, any socket, and the DEALER with its monitor. Knows nothing of
// messages. Nothing here waits, and every socket closes with linger 0.
#pragma once

#include <zmq.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "npc_engine/errors.hpp"
#include "npc_engine/keys.hpp"

namespace npc_engine {

/// libzmq's threads. Its end waits for them, some hundred microseconds; every socket must be closed before.
class ZmqContext {
public:
    ZmqContext() : context_(zmq_ctx_new()) {
        zmq_ctx_set(context_, ZMQ_BLOCKY, 0);
    }
    ~ZmqContext() {
        while (zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
        }
    }
    ZmqContext(const ZmqContext&) = delete;
    ZmqContext& operator=(const ZmqContext&) = delete;

    void* raw() const { return context_; }

private:
    void* context_;
};

/// One received frame.
class ZmqFrame {
public:
    ZmqFrame() { zmq_msg_init(&message_); }
    ~ZmqFrame() { zmq_msg_close(&message_); }
    ZmqFrame(const ZmqFrame&) = delete;
    ZmqFrame& operator=(const ZmqFrame&) = delete;

    /// Its bytes, as long as the frame lives.
    std::string_view bytes() { return {static_cast<const char*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)}; }

    /// Whether another frame of the same message follows, which this protocol never sends.
    bool has_more() const { return zmq_msg_more(&message_) != 0; }
    zmq_msg_t* raw() { return &message_; }

private:
    zmq_msg_t message_;
};

/// Any socket; closes itself.
class ZmqSocket {
public:
    ZmqSocket() = default;
    ZmqSocket(const ZmqContext& context, int type) : socket_(zmq_socket(context.raw(), type)) {
        set(ZMQ_LINGER, 0);
    }
    ~ZmqSocket() { close(); }
    ZmqSocket(ZmqSocket&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}
    ZmqSocket& operator=(ZmqSocket&& other) noexcept {
        if (this != &other) {
            close();
            socket_ = std::exchange(other.socket_, nullptr);
        }
        return *this;
    }

    bool is_open() const { return socket_ != nullptr; }
    void* raw() const { return socket_; }

    void close() {
        if (socket_ != nullptr) {
            zmq_close(std::exchange(socket_, nullptr));
        }
    }

    bool set(int option, int value) { return zmq_setsockopt(socket_, option, &value, sizeof value) == 0; }
    bool set(int option, std::int64_t value) { return zmq_setsockopt(socket_, option, &value, sizeof value) == 0; }
    bool set(int option, const std::string& value) {
        return zmq_setsockopt(socket_, option, value.c_str(), value.size()) == 0;
    }

    /// Whether the frame was queued; false where the queue is full.
    bool send(std::string_view frame) { return zmq_send(socket_, frame.data(), frame.size(), ZMQ_DONTWAIT) >= 0; }

    /// Whether there was one.
    bool receive(ZmqFrame& frame) { return zmq_msg_recv(frame.raw(), socket_, ZMQ_DONTWAIT) >= 0; }

private:
    void* socket_ = nullptr;
};

/// What the monitor tells of the connection.
enum class SocketEvent { connected, disconnected, refused };

/// A DEALER socket, and a monitor that tells what becomes of its connection. For one thread at a time.
class DealerSocket {
public:
    /// Connects; the connection itself is made in libzmq's thread. NPC313: the address is not one. NPC001: the keys
    /// are not keys, or this libzmq has no CURVE. The socket is closed then.
    std::optional<Error> open(const ZmqContext& context, const std::string& address,
                              const std::optional<CurveKeys>& keys, std::int64_t max_frame_bytes) {
        close();
        dealer_ = ZmqSocket(context, ZMQ_DEALER);
        // A monitor's name is of this context alone, and a former monitor may not be gone yet.
        const std::string name = "inproc://monitor-" + std::to_string(++num_opened_);
        std::optional<Error> error = configure(keys, max_frame_bytes);
        if (!error) {
            error = watch(context, name);
        }
        if (!error && zmq_connect(dealer_.raw(), address.c_str()) != 0) {
            error = Error(codes::connection_lost,
                          "cannot connect to '" + address + "': " + zmq_strerror(zmq_errno()),
                          "for example tcp://127.0.0.1:5570");
        }
        if (error) {
            close();
        }
        return error;
    }

    /// Disconnects at once; what is not sent yet is dropped.
    void close() {
        if (dealer_.is_open()) {
            zmq_socket_monitor(dealer_.raw(), nullptr, 0);
        }
        dealer_.close();
        monitor_.close();
    }

    bool is_open() const { return dealer_.is_open(); }
    bool send(std::string_view frame) { return dealer_.send(frame); }

    /// Whether there was a frame.
    bool receive(ZmqFrame& frame) { return dealer_.receive(frame); }

    /// The next thing the monitor tells, or nothing.
    std::optional<SocketEvent> read_event() {
        ZmqFrame event;
        while (monitor_.receive(event)) {
            std::uint16_t kind = 0;
            if (event.bytes().size() >= sizeof kind) {
                std::memcpy(&kind, event.bytes().data(), sizeof kind);
            }
            // The second frame is the address, which is known.
            ZmqFrame address;
            monitor_.receive(address);
            switch (kind) {
                case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
                    return SocketEvent::connected;
                case ZMQ_EVENT_DISCONNECTED:
                    return SocketEvent::disconnected;
                case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
                case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
                    return SocketEvent::refused;
                default:
                    break;
            }
        }
        return std::nullopt;
    }

    void* raw_dealer() const { return dealer_.raw(); }
    void* raw_monitor() const { return monitor_.raw(); }

private:
    std::optional<Error> configure(const std::optional<CurveKeys>& keys, std::int64_t max_frame_bytes) {
        if (!dealer_.is_open()) {
            return Error(codes::connection_lost, std::string("no socket: ") + zmq_strerror(zmq_errno()),
                         "the process may have too many open files");
        }
        dealer_.set(ZMQ_MAXMSGSIZE, max_frame_bytes);
        if (!keys) {
            return std::nullopt;
        }
        const bool is_set = dealer_.set(ZMQ_CURVE_SERVERKEY, keys->server_public_key) &&
                            dealer_.set(ZMQ_CURVE_PUBLICKEY, keys->public_key) &&
                            dealer_.set(ZMQ_CURVE_SECRETKEY, keys->secret_key);
        if (is_set) {
            return std::nullopt;
        }
        const bool has_curve = zmq_has("curve") != 0;
        return Error(codes::config_error, has_curve ? "a CURVE key is not one" : "this libzmq was built without CURVE",
                     has_curve ? "keys are Z85 text of 40 characters" : "build libzmq with libsodium");
    }

    std::optional<Error> watch(const ZmqContext& context, const std::string& name) {
        constexpr int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
        monitor_ = ZmqSocket(context, ZMQ_PAIR);
        const bool is_watched = monitor_.is_open() && zmq_socket_monitor(dealer_.raw(), name.c_str(), events) == 0 &&
                                zmq_connect(monitor_.raw(), name.c_str()) == 0;
        if (is_watched) {
            return std::nullopt;
        }
        return Error(codes::connection_lost, std::string("no monitor: ") + zmq_strerror(zmq_errno()),
                     "the process may have too many open files");
    }

    ZmqSocket dealer_;
    ZmqSocket monitor_;
    std::uint64_t num_opened_ = 0;
};

}  // namespace npc_engine
