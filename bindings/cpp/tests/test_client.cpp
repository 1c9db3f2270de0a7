// The client against a ROUTER socket of this very test, for what the conformance server cannot show: who calls what in
// which thread, what is dropped, and what a callback may do. No server process is needed.
#include <npc_engine/npc_engine.hpp>

#include "expect.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>

namespace {

using namespace std::chrono_literals;
using namespace npc_engine;

// A server in the hand of the test: it reads and answers only what the test tells it to.
class Server {
public:
    Server() : router_(context_, ZMQ_ROUTER) {
        EXPECT(zmq_bind(router_.raw(), "tcp://127.0.0.1:*") == 0, "no free port");
        char name[256];
        std::size_t size = sizeof name;
        zmq_getsockopt(router_.raw(), ZMQ_LAST_ENDPOINT, name, &size);
        address = name;
    }

    std::string address;

    /// The next request, while the client is polled.
    Map next(Client& client) {
        ZmqFrame routing_id;
        for (const auto start = std::chrono::steady_clock::now(); !router_.receive(routing_id);) {
            EXPECT(std::chrono::steady_clock::now() - start < 10s, "no request came");
            client.wait_for(1ms);
            client.poll();
        }
        routing_id_ = std::string(routing_id.bytes());
        ZmqFrame frame;
        EXPECT(router_.receive(frame), "no frame");
        const auto fields = unpack(frame.bytes());
        EXPECT(fields.ok() && !schema::refuse_request(*fields), "a request that is none");
        return *fields;
    }

    /// Whether a request waits to be read.
    bool has_request() {
        zmq_pollitem_t item{router_.raw(), 0, ZMQ_POLLIN, 0};
        return zmq_poll(&item, 1, 0) > 0;
    }

    void send_bytes(const std::string& frame) {
        zmq_send(router_.raw(), routing_id_.data(), routing_id_.size(), ZMQ_SNDMORE);
        zmq_send(router_.raw(), frame.data(), frame.size(), 0);
    }

    void answer(const Map& request, Map reply) {
        reply.insert_or_assign("request_id", get(request, "request_id"));
        send_bytes(*pack(reply));
    }

    void welcome(const Map& request, double client_timeout_s = 600.0) {
        answer(request, {{"kind", "welcome"}, {"protocol_version", 1}, {"engine_version", "test"},
                         {"limits", Map{{"max_frame_bytes", 65536}, {"max_message_depth", 16}, {"max_text_chars", 500},
                                        {"max_conversations", 8}, {"client_timeout_s", client_timeout_s},
                                        {"turn_deadline_s", 1.0}, {"action_timeout_s", 1.0}}}});
    }

private:
    ZmqContext context_;
    ZmqSocket router_;
    std::string routing_id_;
};

ClientOptions options_for(const Server& server, std::chrono::milliseconds timeout = 10s) {
    ClientOptions options;
    options.address = server.address;
    options.timeout = timeout;
    return options;
}

void poll_until(Client& client, const std::function<bool()>& holds) {
    for (const auto start = std::chrono::steady_clock::now(); !holds();) {
        EXPECT(std::chrono::steady_clock::now() - start < 10s, "waited in vain");
        client.wait_for(5ms);
        client.poll();
    }
}

void connect(Client& client, Server& server, double client_timeout_s = 600.0) {
    auto welcome = client.connect(use_future);
    server.welcome(server.next(client), client_timeout_s);
    EXPECT(client.wait(std::move(welcome)).ok(), "not welcomed");
}

const Map health_report{{"kind", "health_report"}, {"engine", Map{}}, {"server", Map{}}};

void requests_wait_for_the_welcome() {
    Server server;
    Client client(options_for(server));
    client.connect();
    auto health = client.health(use_future);
    const Map hello = server.next(client);
    EXPECT(get(hello, "kind") == Value("hello"), "hello comes first");
    client.poll();
    EXPECT(!server.has_request(), "health did not wait");
    server.welcome(hello);
    server.answer(server.next(client), health_report);
    EXPECT(client.wait(std::move(health)).ok(), "no health");
    EXPECT(client.state() == ConnectionState::ready, "not ready");
}

void callbacks_come_from_poll_alone() {
    Server server;
    Client client(options_for(server));
    int num_calls = 0;
    client.health([&](Result<HealthReport> report) {
        EXPECT(report.error().is("NPC313"), "not connected");
        ++num_calls;
    });
    EXPECT(num_calls == 0, "called before poll()");
    EXPECT(client.poll() == 1 && num_calls == 1, "called by poll()");
    EXPECT(client.poll() == 0, "called twice");
}

void timeouts() {
    const Server silent;
    Client stranger(options_for(silent, 50ms));
    const auto welcome = stranger.wait(stranger.connect(use_future));
    EXPECT(welcome.error().is("NPC311"), welcome.error().describe());
    EXPECT(stranger.state() == ConnectionState::disconnected, "still connecting");
    Server server;
    Client client(options_for(server, 2s));
    connect(client, server);
    const auto health = client.wait(client.health(use_future));
    EXPECT(health.error().is("NPC311"), "health");
    EXPECT(client.state() == ConnectionState::ready, "the connection stays usable");
    // The late answer is dropped, and the next request has its own.
    server.answer(server.next(client), health_report);
    auto metrics = client.metrics(use_future);
    server.answer(server.next(client), {{"kind", "metrics_report"}, {"text", "x"}});
    EXPECT(client.wait(std::move(metrics))->text == "x", "metrics");
}

void a_silent_turn_times_out() {
    Server server;
    Client client(options_for(server, 2s));
    connect(client, server);
    auto opened = client.open({"mara", "ada"}, use_future);
    server.answer(server.next(client),
                  {{"kind", "conversation_opened"}, {"conversation_id", "c"}, {"greeting", "Hello."}});
    const Conversation talk = *client.wait(std::move(opened));
    const auto start = std::chrono::steady_clock::now();
    const auto end = client.wait(talk.say("Hm?", use_future));
    EXPECT(end.error().is("NPC311"), "not timed out");
    // turn_deadline_s is 1 here, and the timeout is added.
    EXPECT(std::chrono::steady_clock::now() - start >= 3s, "too early");
}

void wrong_answers_are_errors() {
    Server server;
    Client client(options_for(server));
    connect(client, server);
    auto health = client.health(use_future);
    server.answer(server.next(client), {{"kind", "ok"}});
    EXPECT(client.wait(std::move(health)).error().is("NPC202"), "an answer of another kind");
    auto again = client.health(use_future);
    server.answer(server.next(client), {{"kind", "ok"}, {"cancelled", 1}});
    EXPECT(client.wait(std::move(again)).error().is("NPC202"), "a field of another type");
    auto third = client.health(use_future);
    server.answer(server.next(client), {{"kind", "error"}, {"code", "NPC399"}, {"message", "m"}, {"hint", "h"}});
    EXPECT(client.wait(std::move(third)).error().is("NPC399"), "a code of a newer server");
}

void a_server_of_another_version_is_refused() {
    Server server;
    Client client(options_for(server));
    auto welcome = client.connect(use_future);
    auto health = client.health(use_future);
    server.answer(server.next(client), {{"kind", "error"}, {"code", "NPC204"}, {"message", "m"}, {"hint", ""}});
    EXPECT(client.wait(std::move(welcome)).error().is("NPC204"), "connect");
    EXPECT(client.wait(std::move(health)).error().is("NPC204"), "what waited for the welcome");
}

void a_callback_may_ask_close_and_connect() {
    Server server;
    Client client(options_for(server));
    connect(client, server);
    std::string story;
    client.health([&](Result<HealthReport> first) {
        story += first.ok() ? "answered " : "failed ";
        client.metrics([&](Result<MetricsReport> second) { story += second.error().code + " "; });
        client.close();
        client.connect([&](Result<Welcome> welcome) { story += welcome.ok() ? "welcome" : welcome.error().code; });
    });
    server.answer(server.next(client), health_report);
    server.welcome(server.next(client));
    poll_until(client, [&] { return client.state() == ConnectionState::ready; });
    EXPECT(story == "answered NPC313 welcome", story);
}

void a_callback_may_throw() {
    Server server;
    Client client(options_for(server));
    int num_calls = 0;
    client.health([](Result<HealthReport>) { throw std::runtime_error("the game's"); });
    client.health([&](Result<HealthReport>) { ++num_calls; });
    bool was_thrown = false;
    try {
        client.poll();
    } catch (const std::runtime_error&) {
        was_thrown = true;
    }
    EXPECT(was_thrown && num_calls == 0, "what a callback throws leaves poll()");
    EXPECT(client.poll() == 1 && num_calls == 1, "and what follows comes with the next");
}

void the_end_drops_callbacks_and_answers_futures() {
    Server server;
    std::future<Result<HealthReport>> future;
    std::optional<Conversation> talk;
    int num_calls = 0;
    {
        Client client(options_for(server));
        connect(client, server);
        auto opened = client.open({"mara", "ada"}, use_future);
        server.answer(server.next(client),
                      {{"kind", "conversation_opened"}, {"conversation_id", "c"}, {"greeting", ""}});
        talk = *client.wait(std::move(opened));
        // Holds the conversation, which holds the connection: no cycle must be left.
        talk->cancel([&num_calls, held = *talk](Result<Ok>) { ++num_calls; });
        future = client.health(use_future);
    }
    EXPECT(num_calls == 0, "a callback of a dead client");
    EXPECT(future.get().error().is("NPC313"), "a future of a dead client");
    talk->cancel([&](Result<Ok>) { ++num_calls; });
    EXPECT(talk->say("Hello?", use_future).get().error().is("NPC313"), "a conversation of a dead client");
    EXPECT(num_calls == 0, "a conversation of a dead client calls");
}

void bad_addresses_and_keys() {
    ClientOptions options;
    options.address = "nonsense";
    Client client(options);
    EXPECT(client.wait(client.connect(use_future)).error().is("NPC313"), "an address that is none");
    options.address = "tcp://127.0.0.1:5570";
    options.keys = CurveKeys{"short", "keys", "here"};
    Client stranger(options);
    EXPECT(stranger.wait(stranger.connect(use_future)).error().is("NPC001"), "keys that are none");
    EXPECT(CurveKeys::load("/nowhere", "/nowhere").error().is("NPC001"), "files that are not there");
}

void illegal_requests_are_not_sent() {
    Server server;
    Client client(options_for(server));
    connect(client, server);
    EXPECT(client.wait(client.open({"", "ada"}, use_future)).error().is("NPC202"), "an empty id");
    EXPECT(client.wait(client.world_event("\xff", std::nullopt, use_future)).error().is("NPC202"), "not UTF-8");
    OpenOptions large{"mara", "ada"};
    large.state = {{"diary", std::string(70'000, 'x')}};
    EXPECT(client.wait(client.open(large, use_future)).error().is("NPC206"), "above the server's limit");
    EXPECT(!server.has_request(), "something was sent");
}

void errors_without_a_callback_are_reported() {
    Server server;
    std::vector<std::string> reported;
    ClientOptions options = options_for(server);
    options.on_error = [&](const Error& error) { reported.push_back(error.code); };
    Client client(options);
    connect(client, server);
    client.world_event("It rains.");
    server.answer(server.next(client), {{"kind", "error"}, {"code", "NPC305"}, {"message", "m"}, {"hint", ""}});
    poll_until(client, [&] { return reported.size() == 1; });
    server.send_bytes("\xc1");
    poll_until(client, [&] { return reported.size() == 2; });
    EXPECT(reported[0] == "NPC305" && reported[1] == "NPC201", reported[0] + reported[1]);
}

void a_silent_client_stays_connected() {
    Server server;
    Client client(options_for(server));
    const auto start = std::chrono::steady_clock::now();
    // A third of it is a second.
    connect(client, server, 3.0);
    const Map sign = server.next(client);
    EXPECT(get(sign, "kind") == Value("health"), "another sign of life");
    EXPECT(std::chrono::steady_clock::now() - start >= 1s, "too early");
    server.answer(sign, health_report);
    auto metrics = client.metrics(use_future);
    server.answer(server.next(client), {{"kind", "metrics_report"}, {"text", "x"}});
    EXPECT(client.wait(std::move(metrics)).ok(), "the answer to the sign of life disturbs");
}

void a_poll_keeps_its_budget() {
    Server server;
    ClientOptions options = options_for(server);
    options.poll_budget = 0us;
    std::size_t num_errors = 0;
    options.on_error = [&](const Error&) { ++num_errors; };
    Client client(options);
    connect(client, server);
    for (int each = 0; each < 10; ++each) {
        server.send_bytes("\xc1");
    }
    std::size_t most = 0;
    poll_until(client, [&] {
        const std::size_t before = num_errors;
        client.poll();
        most = std::max(most, num_errors - before);
        return num_errors == 10;
    });
    EXPECT(most == 1, "more than one message in a poll of no budget");
}

void a_pump_polls() {
    Server server;
    Client client(options_for(server));
    connect(client, server);
    auto first = client.health(use_future);
    const Map request = server.next(client);
    const Pump pump(client);
    server.answer(request, health_report);
    EXPECT(first.get().ok(), "no health through the pump");
    EXPECT(client.poll() == 0, "two polls at once");
}

void bad_frames_in_mid_turn() {
    Server server;
    Client client(options_for(server));
    connect(client, server);
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        auto health = client.health(use_future);
        const Map request = server.next(client);
        for (int each = 0; each < 20; ++each) {
            std::string frame = *pack({{"kind", "token"}, {"request_id", get(request, "request_id")},
                                       {"conversation_id", "c"}, {"text", "Ghost"}});
            frame.resize(std::uniform_int_distribution<std::size_t>(0, frame.size() - 1)(random));
            if (!frame.empty() && each % 2 == 0) {
                frame[frame.size() / 2] = static_cast<char>(random());
            }
            server.send_bytes(frame);
        }
        server.answer(request, health_report);
        const auto report = client.wait(std::move(health));
        EXPECT(report.ok() || report.error().code.compare(0, 4, "NPC2") == 0, report.error().describe());
    }
}

}  // namespace

int main() {
    requests_wait_for_the_welcome();
    callbacks_come_from_poll_alone();
    timeouts();
    a_silent_turn_times_out();
    wrong_answers_are_errors();
    a_server_of_another_version_is_refused();
    a_callback_may_ask_close_and_connect();
    a_callback_may_throw();
    the_end_drops_callbacks_and_answers_futures();
    bad_addresses_and_keys();
    illegal_requests_are_not_sent();
    errors_without_a_callback_are_reported();
    a_silent_client_stays_connected();
    a_poll_keeps_its_budget();
    a_pump_polls();
    bad_frames_in_mid_turn();
    std::puts("client: ok");
}
