export type { Data, Fields } from "./codec.js";
export { Client, Conversation } from "./client.js";
export type { ActionHandler, ClientOptions, OpenOptions, SayOptions } from "./client.js";
export { ActionFailed, NpcError } from "./errors.js";
export { PROTOCOL_VERSION } from "./messages.js";
export type {
  ActionCall,
  CharacterEntry,
  Controls,
  ControlsSet,
  HealthReport,
  Limits,
  Sentence,
  Token,
  TurnEnd,
  TurnEvent,
  Welcome,
} from "./messages.js";
export { Turn } from "./turn.js";
