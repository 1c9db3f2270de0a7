// A talk in the terminal: talk [CHARACTER [ADDRESS]]. It has no loop of its own, so a Pump polls and the futures are
// waited for; a game calls client.poll() once a frame instead.
#include <npc_engine/npc_engine.hpp>

#include <iostream>
#include <string>

namespace {

// The game decides what really happens.
void run_action(const npc_engine::ActionCall& call, const npc_engine::ActionReply& reply) {
    std::cout << "\n[the character wants " << call.name << "]\n";
    if (call.name == "sell_item") {
        reply.result({{"sold", npc_engine::get(call.arguments, "item")}, {"price_paid", "40 crowns"}});
    } else {
        reply.error("the shop is closed");
    }
}

int fail(const npc_engine::Error& error) {
    std::cerr << error.describe() << "\n";
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    npc_engine::ClientOptions options;
    npc_engine::OpenOptions open;
    open.character_id = argc > 1 ? argv[1] : "hesta";
    open.player_id = "player";
    open.on_action = run_action;
    if (argc > 2) {
        options.address = argv[2];
    }
    npc_engine::Client client(options);
    const npc_engine::Pump pump(client);
    auto welcome = client.connect(npc_engine::use_future).get();
    if (!welcome) {
        return fail(welcome.error());
    }
    auto talk = client.open(open, npc_engine::use_future).get();
    if (!talk) {
        return fail(talk.error());
    }
    std::cout << talk->greeting() << "\n(an empty line ends the talk)\n> " << std::flush;
    for (std::string line; std::getline(std::cin, line) && !line.empty();) {
        std::promise<npc_engine::Result<npc_engine::TurnEnd>> over;
        npc_engine::TurnHandlers turn;
        turn.on_token = [](const npc_engine::Token& token) { std::cout << token.text << std::flush; };
        turn.on_end = [&over](npc_engine::Result<npc_engine::TurnEnd> end) { over.set_value(std::move(end)); };
        talk->say(line, turn);
        auto end = over.get_future().get();
        if (!end) {
            return fail(end.error());
        }
        std::cout << "\n> " << std::flush;
    }
    return 0;
}
