using System;
using System.Collections.Generic;
using System.Diagnostics;

namespace NpcEngine.Tests
{
    /// <summary>The cases in which the server misbehaves, stalls or dies.</summary>
    internal sealed class FaultCases
    {
        private static readonly string[] BadFrameCodes = { "NPC201", "NPC202", "NPC203", "NPC206", "NPC313" };

        private readonly string _faults;

        public FaultCases(Dictionary<string, object> server, List<KeyValuePair<string, Action>> cases)
        {
            _faults = (string)server["zmq_faults"];
            var all = new Dictionary<string, Action>
            {
                { "server_stall", ServerStall }, { "server_restart", ServerRestart },
                { "unknown_kind_from_server", UnknownKind }, { "unknown_field_from_server", () => StillHere("fault unknown_field") },
                { "reply_to_unknown_request", () => StillHere("fault unknown_request") }, { "replayed_reply", ReplayedReply },
                { "truncated_frame", () => BadFrame("fault truncated", "NPC201") },
                { "random_frame", () => BadFrame("fault random", "NPC201") },
                { "oversized_frame", () => BadFrame("fault oversized", "NPC206") },
            };
            cases.AddRange(all);
        }

        public List<double> PollTimes { get; } = new List<double>();

        private void ServerStall()
        {
            using (Game game = Game.Connected(_faults))
            {
                NpcConversation mara = game.Open();
                game.PollTimes.Clear();
                Talk talk = game.Say(mara, "fault stall");
                talk.UntilToken();
                game.For(0.5);
                NpcRequest<HealthReport> health = game.Call(() => game.Client.Health());
                game.For(1);
                Check.That(!health.IsFinished && !talk.Turn.IsOver, "the server did not stall");
                Check.Equal("Hm again.", talk.Finish().Text);
                Check.Equal("scripted", game.Wait(health).Engine["model"]);
                game.CheckPolls();
                PollTimes.AddRange(game.PollTimes);
            }
        }

        private void ServerRestart()
        {
            using (Game game = Game.Connected(_faults))
            {
                NpcConversation mara = game.Open(), tobin = game.Open("tobin");
                game.PollTimes.Clear();
                Talk waiting = game.Say(tobin, "wait");
                waiting.UntilToken();
                Talk cut = game.Say(mara, "fault restart");
                cut.Fails(5, "NPC313");
                waiting.Fails(5, "NPC313");
                game.Until(() => game.Losses.Count == 1, "ConnectionLost");
                game.Say(mara, "Hello?").Fails(5, "NPC313", "NPC302");
                game.Wait(game.Call(() => game.Client.Connect()), 10);
                Check.Equal("Back again.", game.Ask(game.Open(), "Back again."));
                game.Say(mara, "Hello?").Fails(5, "NPC313", "NPC302");
                Check.Equal(1, cut.Failures.Count + waiting.Failures.Count - 1, "failures");
                Check.Equal(1, game.Losses.Count, "losses");
                game.CheckPolls();
                PollTimes.AddRange(game.PollTimes);
            }
        }

        private void UnknownKind()
        {
            using (Game game = Game.Connected(_faults))
            {
                game.Say(game.Open(), "fault unknown_kind").Fails(5, "NPC203");
                Check.That(game.Errors.Count >= 1 && game.Errors[0].Code == "NPC203", "the frame of no request was not reported");
                game.CheckLives();
            }
        }

        private void StillHere(string line)
        {
            using (Game game = Game.Connected(_faults))
            {
                Talk talk = game.Say(game.Open(), line);
                Check.Equal("Still here.", talk.Finish().Text);
                talk.CheckHeard("token Still", "token  here.", "sentence 0 Still here.", "end Stop model Still here.");
                game.CheckLives();
            }
        }

        private void ReplayedReply()
        {
            using (Game game = Game.Connected(_faults))
            {
                NpcConversation mara = game.Open();
                Talk first = game.Say(mara, "fault replay");
                first.Finish();
                Talk next = game.Say(mara, "Next.");
                next.Finish();
                game.For(0.2);
                first.CheckHeard("token Still", "token  here.", "sentence 0 Still here.", "end Stop model Still here.");
                next.CheckHeard("token Next.", "sentence 0 Next.", "end Stop model Next.");
                game.CheckLives();
            }
        }

        private void BadFrame(string line, string reported)
        {
            using (Game game = Game.Connected(_faults))
            {
                Talk talk = game.Say(game.Open(), line);
                game.Until(() => talk.Turn.IsOver, "the turn's end");
                talk.CheckNoGhost();
                if (talk.Failures.Count > 0)
                {
                    Check.That(Array.IndexOf(BadFrameCodes, talk.Failures[0].Code) >= 0, "failed with " + talk.Failures[0].Message);
                }
                else
                {
                    Check.Equal("Still here.", talk.Turn.Text);
                }
                Check.That(game.Errors.Count > 0 && game.Errors[0].Code == reported, "the bad frame was not reported");
                game.CheckLives();
            }
        }
    }
}
