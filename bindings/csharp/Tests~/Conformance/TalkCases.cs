using System;
using System.Collections;
using System.Collections.Generic;

namespace NpcEngine.Tests
{
    /// <summary>The cases in which the server does what it should.</summary>
    internal sealed class TalkCases
    {
        private readonly string _zmq;
        private readonly string _fragmented;
        private readonly string _curve;
        private readonly Dictionary<string, object> _server;

        public TalkCases(Dictionary<string, object> server, List<KeyValuePair<string, Action>> cases)
        {
            _server = server;
            _zmq = (string)server["zmq"];
            _fragmented = (string)server["zmq_fragmented"];
            _curve = (string)server["zmq_curve"];
            var all = new Dictionary<string, Action>
            {
                { "hello", Hello }, { "hello_curve", HelloCurve }, { "wrong_version", WrongVersion },
                { "list_characters", ListCharacters }, { "stream", Stream }, { "sentences", () => Sentences(_zmq, 5) },
                { "cancel", Cancel }, { "action_result", ActionResult }, { "action_error", ActionError },
                { "action_timeout", ActionTimeout }, { "request_error", RequestError },
                { "unknown_character", UnknownCharacter }, { "world_event", WorldEvent }, { "set_state", SetState },
                { "health", Health }, { "two_conversations_at_once", TwoConversations }, { "slow_server", SlowServer },
                { "fragmented_tcp", FragmentedTcp },
            };
            cases.AddRange(all);
        }

        public List<double> PollTimes { get; } = new List<double>();

        private static Dictionary<string, object> Map(params object[] pairs)
        {
            var map = new Dictionary<string, object>();
            for (int i = 0; i < pairs.Length; i += 2)
            {
                map.Add((string)pairs[i], pairs[i + 1]);
            }
            return map;
        }

        private void Hello()
        {
            using (var game = new Game(_zmq))
            {
                CheckWelcome(game.Wait(game.Client.Connect()));
                Check.Equal(NpcClientState.Connected, game.Client.State);
            }
        }

        private static void CheckWelcome(Welcome welcome)
        {
            Check.Equal(1, welcome.ProtocolVersion, "protocol_version");
            Check.That(welcome.EngineVersion.Length > 0, "the engine's version is empty");
            Check.Equal(65536, welcome.MaxFrameBytes);
            Check.Equal(16, welcome.MaxMessageDepth);
            Check.Equal(500, welcome.MaxTextChars);
            Check.Equal(8, welcome.MaxConversations);
            Check.Equal(600.0, welcome.ClientTimeoutSeconds);
            Check.Equal(60.0, welcome.TurnDeadlineSeconds);
            Check.Equal(1.0, welcome.ActionTimeoutSeconds);
        }

        private void HelloCurve()
        {
            var publicKey = (string)_server["curve_client_public_key"];
            var secretKey = (string)_server["curve_client_secret_key"];
            var keys = new CurveKeys((string)_server["curve_server_public_key"], publicKey, secretKey);
            using (var game = new Game(_curve, keys))
            {
                CheckWelcome(game.Wait(game.Client.Connect()));
                Check.Equal("Steel is dear.", game.Ask(game.Open(), "Steel is dear."));
            }
            using (var game = new Game(_curve, new CurveKeys(new string('0', 40), publicKey, secretKey), timeoutSeconds: 1))
            {
                NpcEngineException failure = null;
                game.Client.Connect().Failed += error => failure = error;
                game.Until(() => failure != null, "the failure");
                Check.That(failure.Code == "NPC311" || failure.Code == "NPC313", "failed with " + failure.Message);
            }
        }

        private void WrongVersion()
        {
            var raw = new RawRequests(_zmq);
            try
            {
                Check.Equal("NPC204", raw.Hello(99).Error.Code);
                Check.Equal(1, ((Welcome)raw.Hello(1).Reply).ProtocolVersion);
            }
            finally
            {
                raw.Close();
            }
        }

        private void ListCharacters()
        {
            using (Game game = Game.Connected(_zmq))
            {
                var shown = new List<string>();
                foreach (CharacterEntry entry in game.Wait(game.Client.ListCharacters()))
                {
                    shown.Add(entry.Id + "/" + entry.Name + "/" + entry.Role);
                }
                Check.Equal("mara/Mara/weapon merchant|tobin/Tobin/innkeeper|zoe/Zoë Ærlig/chandler", string.Join("|", shown));
            }
        }

        private void Stream()
        {
            using (Game game = Game.Connected(_zmq))
            {
                const string line = "Größe zählt: 剣 costs 12 🗡 today.";
                NpcConversation mara = game.Open();
                Check.Equal("Well met, Ada.", mara.Greeting);
                Talk talk = game.Say(mara, line);
                TurnEnd end = talk.Finish();
                game.For(0.2);
                talk.CheckHeard(
                    "token Größe", "token  zählt:", "token  剣", "token  costs", "token  12", "token  🗡", "token  today.",
                    "sentence 0 " + line, "end Stop model " + line);
                Check.Equal(Map("script", "Größe"), end.Trace);
            }
        }

        private static void Sentences(string address, double seconds)
        {
            using (Game game = Game.Connected(address))
            {
                NpcConversation mara = game.Open();
                Talk talk = game.Say(mara, "Steel is dear. Buy now!");
                talk.Finish(seconds);
                CheckSteel(talk);
                Talk silent = game.Say(mara, "silent"), guarded, cut;
                silent.Finish();
                silent.CheckHeard("end Stop none ");
                guarded = game.Say(mara, "guarded");
                guarded.Finish();
                guarded.CheckHeard(
                    "token I", "token  will", "token  not", "token  speak", "token  of", "token  it.",
                    "sentence 0 I will not speak of it.", "end Guard fallback I will not speak of it.");
                cut = game.Say(mara, "long");
                cut.Finish();
                Check.Equal("end Length model And so on", cut.Heard[cut.Heard.Count - 1]);
            }
        }

        private static void CheckSteel(Talk talk)
        {
            talk.CheckHeard(
                "token Steel", "token  is", "token  dear.", "sentence 0 Steel is dear.", "token  Buy", "token  now!",
                "sentence 1 Buy now!", "end Stop model Steel is dear. Buy now!");
        }

        private void FragmentedTcp()
        {
            using (var game = new Game(_fragmented))
            {
                game.Wait(game.Client.Connect(), 10);
                NpcConversation mara = game.Wait(game.Client.Open("mara", "ada"), 10);
                Talk talk = game.Say(mara, "Steel is dear. Buy now!");
                talk.Finish(10);
                CheckSteel(talk);
            }
        }

        private void Cancel()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open();
                Talk talk = game.Say(mara, "wait");
                talk.UntilToken();
                Check.Equal(true, game.Wait(talk.Turn.Cancel()));
                talk.Finish();
                talk.CheckHeard("token Hm", "end Cancelled model Hm");
                Check.Equal(false, game.Wait(mara.Cancel()));
                Check.Equal("Again.", game.Ask(mara, "Again."));
            }
        }

        private Talk Act(Game game, Action<NpcActionCall> onAction, List<NpcActionCall> calls)
        {
            Action<NpcActionCall> listener = call =>
            {
                calls.Add(call);
                onAction(call);
            };
            NpcConversation mara = game.Open("mara", listener, "sell_item");
            Check.Equal("[\"sell_item\"]", game.Ask(mara, "offered"));
            return game.Say(mara, "act sword");
        }

        private void ActionResult()
        {
            using (Game game = Game.Connected(_zmq))
            {
                var calls = new List<NpcActionCall>();
                IDictionary result = Map("sold", true, "price", 12, "name", "sword", "rate", 0.5, "left", null);
                Talk talk = Act(game, call => call.Answer(result), calls);
                Check.Equal(
                    "Result: {\"left\":null,\"name\":\"sword\",\"price\":12,\"rate\":0.5,\"sold\":true}", talk.Finish().Text);
                Check.Equal(1, calls.Count, "calls");
                Check.Equal("sell_item", calls[0].Name);
                Check.That(calls[0].CallId.Length > 0, "the call has no id");
                Check.Equal(Map("item", "sword", "quantity", 2, "price", 12.5, "gift", false, "note", null), calls[0].Arguments);
            }
        }

        private void ActionError()
        {
            using (Game game = Game.Connected(_zmq))
            {
                Talk talk = Act(game, call => call.Refuse("no swords left"), new List<NpcActionCall>());
                Check.Equal("Refused: no swords left", talk.Finish().Text);
            }
        }

        private void ActionTimeout()
        {
            using (Game game = Game.Connected(_zmq))
            {
                var calls = new List<NpcActionCall>();
                Talk talk = Act(game, call => { }, calls);
                Check.Equal("Nobody answered.", talk.Finish().Text);
                game.Fails(calls[0].Answer(Map("sold", true)), "NPC308");
                game.CheckLives();
            }
        }

        private void RequestError()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open();
                NpcEngineException busy = game.Say(mara, "busy").Fails(5, "NPC306");
                Check.Equal(2.5, busy.RetryAfterSeconds);
                Check.Equal("no room", busy.Reason);
                Check.Equal("later", busy.Hint);
                Talk boom = game.Say(mara, "boom");
                boom.Fails(5, "NPC500");
                boom.CheckHeard("token Oh", "failed NPC500");
                Talk waiting = game.Say(mara, "wait");
                waiting.UntilToken();
                game.Say(mara, "Hello.").Fails(5, "NPC304");
                mara.Cancel();
                Check.Equal(FinishReason.Cancelled, waiting.Finish().FinishReason);
                game.Say(mara, new string('a', 501)).Fails(5, "NPC305");
                Check.Equal("Still here.", game.Ask(mara, "Still here."));
            }
        }

        private void UnknownCharacter()
        {
            using (Game game = Game.Connected(_zmq))
            {
                game.Fails(game.Client.Open("nobody", "ada"), "NPC301");
                Check.Equal("Well met, Ada.", game.Open("tobin").Greeting);
            }
        }

        private void WorldEvent()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation first = game.Open(), second = game.Open("tobin");
                game.Wait(game.Client.WorldEvent("The north gate has fallen.", 812.5));
                game.Wait(second.WorldEvent("It rains."));
                Check.Equal("[[\"The north gate has fallen.\",812.5]]", game.Ask(first, "events"));
                Check.Equal("[[\"The north gate has fallen.\",812.5],[\"It rains.\",null]]", game.Ask(second, "events"));
            }
        }

        private void SetState()
        {
            using (Game game = Game.Connected(_zmq))
            {
                const string after = "{\"flags\":{\"met_guard\":true},\"place\":\"market\",\"trust\":45}";
                NpcConversation mara = game.Wait(game.Client.Open("mara", "ada", state: Map("trust", 40, "place", "market")));
                game.Wait(mara.SetState(Map("trust", 45, "flags", Map("met_guard", true))));
                Check.Equal(after, game.Ask(mara, "state"));
                game.Fails(mara.SetState(Map("trust", "high")), "NPC309");
                Check.Equal(after, game.Ask(mara, "state"));
            }
        }

        private void Health()
        {
            using (Game game = Game.Connected(_zmq))
            {
                HealthReport report = game.Wait(game.Client.Health());
                Check.Equal(Map("model", "scripted", "provider", "none"), report.Engine);
                Check.That((long)report.Server["num_clients"] >= 1, "no client counted");
                Check.Equal(false, report.Server["is_stopping"]);
                Check.That(game.Wait(game.Client.Metrics()).Contains("npc_scripted 1"), "the metrics lack npc_scripted 1");
            }
        }

        private void TwoConversations()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open(), tobin = game.Open("tobin");
                Talk waiting = game.Say(mara, "wait");
                waiting.UntilToken();
                Talk other = game.Say(tobin, "Steel is dear.");
                other.Finish();
                other.CheckHeard(
                    "token Steel", "token  is", "token  dear.", "sentence 0 Steel is dear.", "end Stop model Steel is dear.");
                Check.That(!waiting.Turn.IsOver, "the first turn ended with the second");
                mara.Cancel();
                waiting.Finish();
                waiting.CheckHeard("token Hm", "end Cancelled model Hm");
            }
        }

        private void SlowServer()
        {
            using (Game game = Game.Connected(_zmq))
            {
                game.PollTimes.Clear();
                Talk talk = game.Say(game.Open(), "slow");
                game.Until(() => talk.Turn.IsOver, "the end", 5, frameMs: 5);
                Check.Equal("a b c d e f g h i j", talk.Turn.Text);
                Check.That(talk.TokenPolls.Count >= 5, "the tokens came in " + talk.TokenPolls.Count + " polls");
                game.CheckPolls();
                PollTimes.AddRange(game.PollTimes);
            }
        }
    }
}
