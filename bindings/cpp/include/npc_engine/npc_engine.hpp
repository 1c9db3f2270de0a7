// Everything. One include for a game.
#pragma once

#include "npc_engine/client.hpp"
#include "npc_engine/codec.hpp"
#include "npc_engine/completion.hpp"
#include "npc_engine/conversation.hpp"
#include "npc_engine/errors.hpp"
#include "npc_engine/keys.hpp"
#include "npc_engine/messages.hpp"
#include "npc_engine/options.hpp"
#include "npc_engine/pump.hpp"
#include "npc_engine/schema.hpp"
#include "npc_engine/socket.hpp"
#include "npc_engine/value.hpp"
