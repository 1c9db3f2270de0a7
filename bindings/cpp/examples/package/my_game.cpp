#include <npc_engine/npc_engine.hpp>
#include <iostream>
#include <thread>

int main() {
    npc_engine::Client client;  // tcp://127.0.0.1:5570
    bool is_over = false;
    const auto hear = [&](npc_engine::Result<npc_engine::Conversation> talk) {
        if (!talk) return std::cout << talk.error().describe() << "\n", void(is_over = true);
        npc_engine::TurnHandlers turn;
        turn.on_token = [](const npc_engine::Token& token) { std::cout << token.text << std::flush; };
        turn.on_end = [&](npc_engine::Result<npc_engine::TurnEnd>) { is_over = true; };
        talk->say("Is the bridge safe?", turn);
    };
    client.connect();
    client.open({"hesta", "player-1"}, hear);
    for (; !is_over; std::this_thread::sleep_for(std::chrono::milliseconds(16))) {
        client.poll();  // once a frame; draw the game here
    }
}
