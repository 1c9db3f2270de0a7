using System.Collections.Generic;

namespace NpcEngine.Wire
{
    /// <summary>
    /// Fields to a typed reply. Fields that this version does not know are ignored, so that a newer server can be talked to;
    /// fields that it needs are checked.
    /// </summary>
    internal static class ReplyParser
    {
        public const long MaxRequestId = (1L << 53) - 1;

        /// <summary>The request that a message names; null where it names none that is valid.</summary>
        public static long? RequestIdOf(Dictionary<string, object> fields)
        {
            object value;
            return fields.TryGetValue("request_id", out value) && value is long id && id >= 0 && id <= MaxRequestId
                ? id
                : (long?)null;
        }

        /// <summary>Reads one reply.</summary>
        /// <exception cref="NpcEngineException">NPC202 for a field that is missing or wrong, NPC203 for a kind unknown here.</exception>
        public static Reply Parse(Dictionary<string, object> fields)
        {
            var read = new FieldReader(fields, "");
            string kind = read.Text("kind");
            Reply reply = ParseKind(kind, read);
            reply.RequestId = RequestIdOf(fields);
            if (reply.RequestId == null && !(reply is ErrorReply && read.IsNull("request_id")))
            {
                throw read.Wrong("request_id", "an integer from 0 to 2^53 - 1");
            }
            return reply;
        }

        private static Reply ParseKind(string kind, FieldReader read)
        {
            switch (kind)
            {
                case "welcome": return ParseWelcome(read);
                case "characters": return new CharactersReply { Characters = ParseCharacters(read) };
                case "conversation_opened":
                    return new ConversationOpenedReply { ConversationId = read.Text("conversation_id"), Greeting = read.Text("greeting") };
                case "conversation_closed": return new ConversationClosedReply { ConversationId = read.Text("conversation_id") };
                case "token":
                    read.Text("conversation_id");
                    return new TokenReply { Text = read.Text("text") };
                case "sentence":
                    read.Text("conversation_id");
                    return new Sentence { Index = read.Count("index"), Text = read.Text("text") };
                case "action_call": return ParseActionCall(read);
                case "turn_end": return ParseTurnEnd(read);
                case "ok": return new OkReply { Cancelled = read.OptionalFlag("cancelled") };
                case "controls_set":
                    read.Text("conversation_id");
                    return new ControlsSet { Controls = read.Map("controls"), InForce = read.Map("in_force") };
                case "undone":
                    read.Text("conversation_id");
                    return new UndoneReply { Remaining = read.Count("remaining") };
                case "health_report": return new HealthReport { Engine = read.Map("engine"), Server = read.Map("server") };
                case "metrics_report": return new MetricsReply { Text = read.Text("text") };
                case "error": return ParseError(read);
                default:
                    string shown = kind.Length <= 40 ? kind : kind.Substring(0, 40);
                    throw new NpcEngineException(
                        ErrorCode.UnknownKind, "the server sent a message of kind \"" + shown + "\"", "update this client");
            }
        }

        private static Welcome ParseWelcome(FieldReader read)
        {
            var limits = new FieldReader(read.Map("limits"), "limits.");
            return new Welcome
            {
                ProtocolVersion = read.Count("protocol_version"),
                EngineVersion = read.Text("engine_version"),
                MaxFrameBytes = limits.Count("max_frame_bytes"),
                MaxMessageDepth = limits.Count("max_message_depth"),
                MaxTextChars = limits.Count("max_text_chars"),
                MaxConversations = limits.Count("max_conversations"),
                ClientTimeoutSeconds = limits.Number("client_timeout_s"),
                TurnDeadlineSeconds = limits.Number("turn_deadline_s"),
                ActionTimeoutSeconds = limits.Number("action_timeout_s"),
            };
        }

        private static List<CharacterEntry> ParseCharacters(FieldReader read)
        {
            var entries = new List<CharacterEntry>();
            foreach (object item in read.Array("characters"))
            {
                var map = item as Dictionary<string, object>;
                if (map == null)
                {
                    throw read.Wrong("characters", "an array of maps");
                }
                var entry = new FieldReader(map, "characters[" + entries.Count + "].");
                entries.Add(new CharacterEntry { Id = entry.Text("id"), Name = entry.Text("name"), Role = entry.Text("role") });
            }
            return entries;
        }

        private static ActionCallReply ParseActionCall(FieldReader read)
        {
            return new ActionCallReply
            {
                ConversationId = read.Text("conversation_id"),
                CallId = read.Text("call_id"),
                Name = read.Text("name"),
                Arguments = read.Map("arguments"),
                IdempotencyKey = read.OptionalText("idempotency_key") ?? "",
                Cost = read.OptionalNumber("cost"),
            };
        }

        private static TurnEnd ParseTurnEnd(FieldReader read)
        {
            read.Text("conversation_id");
            return new TurnEnd
            {
                Text = read.Text("text"),
                FinishReason = ParseFinishReason(read),
                Source = read.Text("source"),
                Trace = read.Map("trace"),
            };
        }

        private static FinishReason ParseFinishReason(FieldReader read)
        {
            switch (read.Text("finish_reason"))
            {
                case "stop": return FinishReason.Stop;
                case "length": return FinishReason.Length;
                case "cancelled": return FinishReason.Cancelled;
                case "guard": return FinishReason.Guard;
                default: throw read.Wrong("finish_reason", "stop, length, cancelled or guard");
            }
        }

        private static ErrorReply ParseError(FieldReader read)
        {
            return new ErrorReply
            {
                Error = new NpcEngineException(
                    read.Text("code"), read.Text("message"), read.Text("hint"), read.OptionalNumber("retry_after_s")),
            };
        }
    }

    /// <summary>Reads typed fields of one map, and names the field in every error.</summary>
    internal struct FieldReader
    {
        private readonly Dictionary<string, object> _fields;
        private readonly string _prefix;

        public FieldReader(Dictionary<string, object> fields, string prefix)
        {
            _fields = fields;
            _prefix = prefix;
        }

        public string Text(string name)
        {
            return Value(name) as string ?? throw Wrong(name, "text");
        }

        public string OptionalText(string name)
        {
            object value = Value(name);
            return value == null ? null : value as string ?? throw Wrong(name, "text or nil");
        }

        public long Count(string name)
        {
            return Value(name) is long number && number >= 0 ? number : throw Wrong(name, "an integer of at least 0");
        }

        public double Number(string name)
        {
            return AsNumber(Value(name)) ?? throw Wrong(name, "a number");
        }

        public Dictionary<string, object> Map(string name)
        {
            return Value(name) as Dictionary<string, object> ?? throw Wrong(name, "a map");
        }

        public List<object> Array(string name)
        {
            return Value(name) as List<object> ?? throw Wrong(name, "an array");
        }

        public bool? OptionalFlag(string name)
        {
            object value = Value(name);
            return value == null ? (bool?)null : value is bool flag ? flag : throw Wrong(name, "a boolean or nil");
        }

        public double? OptionalNumber(string name)
        {
            object value = Value(name);
            return value == null ? (double?)null : AsNumber(value) ?? throw Wrong(name, "a number or nil");
        }

        public bool IsNull(string name)
        {
            object value;
            return _fields.TryGetValue(name, out value) && value == null;
        }

        public NpcEngineException Wrong(string name, string expected)
        {
            return new NpcEngineException(
                ErrorCode.InvalidMessage,
                "the server's field " + _prefix + name + " is missing or is not " + expected,
                "see whether client and server are of the same version");
        }

        private object Value(string name)
        {
            object value;
            return _fields.TryGetValue(name, out value) ? value : null;
        }

        private static double? AsNumber(object value)
        {
            return value is double number ? number : value is long integer ? integer : (double?)null;
        }
    }
}
