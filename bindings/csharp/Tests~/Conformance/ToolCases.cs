using System;
using System.Collections;
using System.Collections.Generic;

namespace NpcEngine.Tests
{
    /// <summary>Controls, seeds, turns that are taken back, and actions that the game declares.</summary>
    internal sealed class ToolCases
    {
        private readonly string _zmq;

        public ToolCases(Dictionary<string, object> server, List<KeyValuePair<string, Action>> cases)
        {
            _zmq = (string)server["zmq"];
            cases.AddRange(
                new Dictionary<string, Action>
                {
                    { "set_controls", SetControls }, { "say_options", SayOptions }, { "undo", Undo },
                    { "declare_actions", DeclareActions },
                });
        }

        private static Dictionary<string, object> Map(string key, object value)
        {
            return new Dictionary<string, object> { { key, value } };
        }

        private static string Ask(Game game, NpcConversation talk, string text, IDictionary controls = null, uint? seed = null)
        {
            return new Talk(game, talk.Say(text, controls, seed)).Finish().Text;
        }

        private void SetControls()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open();
                ControlsSet now = game.Wait(
                    mara.SetControls(new Dictionary<string, object> { { "max_words", 20 }, { "synchrony", 1.0 } }));
                Check.Equal(20L, now.Controls["max_words"]);
                Check.Equal(null, now.Controls["role_play"]);
                Check.Equal(20L, ((Dictionary<string, object>)now.InForce["world"])["max_words"]);
                Check.Equal("{\"max_words\":20,\"synchrony\":1.0}", game.Ask(mara, "controls"));
                Check.Equal(null, game.Wait(mara.SetControls(Map("max_words", null))).Controls["max_words"]);
                game.Fails(mara.SetControls(Map("max_words", 1000)), "NPC316");
                game.Fails(mara.SetControls(Map("loudness", 1)), "NPC316");
                Check.Equal("{\"synchrony\":1.0}", game.Ask(mara, "controls"));
                Talk waiting = game.Say(mara, "wait");
                waiting.UntilToken();
                game.Wait(mara.SetControls(Map("max_words", 9)));
                Check.Equal(false, waiting.Turn.IsOver);
                mara.Cancel();
                Check.Equal(FinishReason.Cancelled, waiting.Finish().FinishReason);
                Check.Equal("{\"max_words\":9,\"synchrony\":1.0}", game.Ask(mara, "controls"));
            }
        }

        private void SayOptions()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open();
                Check.Equal("{\"max_words\":8}", Ask(game, mara, "controls", Map("max_words", 8)));
                Check.Equal("{}", game.Ask(mara, "controls"));
                Check.Equal("4294967295", Ask(game, mara, "seed", null, uint.MaxValue));
                Check.Equal("null", game.Ask(mara, "seed"));
                new Talk(game, mara.Say("Hello.", Map("max_words", 1000))).Fails(5, "NPC316");
                Check.Equal("Still here.", game.Ask(mara, "Still here."));
            }
        }

        private void Undo()
        {
            using (Game game = Game.Connected(_zmq))
            {
                NpcConversation mara = game.Open();
                game.Fails(mara.Undo(), "NPC317");
                foreach (string line in new[] { "One.", "Two.", "Three." })
                {
                    game.Ask(mara, line);
                }
                Check.Equal(1L, game.Wait(mara.Undo(2)));
                Check.Equal("[\"One.\"]", game.Ask(mara, "turns"));
                Talk waiting = game.Say(mara, "wait");
                waiting.UntilToken();
                game.Fails(mara.Undo(), "NPC304");
                mara.Cancel();
                Check.Equal(FinishReason.Cancelled, waiting.Finish().FinishReason);
                game.Wait(mara.Close());
                game.Fails(mara.Undo(), "NPC303");
            }
        }

        private void DeclareActions()
        {
            using (Game game = Game.Connected(_zmq))
            {
                var gate = new Dictionary<string, object>
                {
                    { "name", "open_gate" },
                    { "description", "Opens the gate." },
                    {
                        "parameters",
                        new Dictionary<string, object>
                        {
                            { "type", "object" }, { "properties", Map("gate", Map("type", "string")) },
                        }
                    },
                };
                var calls = new List<NpcActionCall>();
                NpcConversation mara = game.Wait(
                    game.Client.Open("mara", "ada", onAction: calls.Add, declareActions: new IDictionary[] { gate }));
                Check.Equal("[\"open_gate\"]", game.Ask(mara, "declared"));
                Talk act = game.Say(mara, "act sword");
                game.Until(() => calls.Count == 1, "the call");
                Check.Equal("key-sword", calls[0].IdempotencyKey);
                Check.Equal(2.5, calls[0].Cost);
                calls[0].Refuse("not now");
                Check.Equal("Refused: not now", act.Finish().Text);
                var nameless = new IDictionary[] { Map("description", "?") };
                game.Fails(game.Client.Open("mara", "ada", declareActions: nameless), "NPC315");
            }
        }
    }
}
