using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;

namespace NpcEngine.Tests
{
    /// <summary>A game loop around one client: polls, and measures every poll and every call.</summary>
    internal sealed class Game : IDisposable
    {
        private static readonly double TicksPerMs = Stopwatch.Frequency / 1000.0;

        public Game(string address, CurveKeys keys = null, double timeoutSeconds = 10)
        {
            Client = new NpcClient(address, keys, timeoutSeconds, "conformance of C#");
            Client.Error += Errors.Add;
            Client.ConnectionLost += Losses.Add;
        }

        public NpcClient Client { get; }

        /// <summary>Errors that nobody listened for.</summary>
        public List<NpcEngineException> Errors { get; } = new List<NpcEngineException>();

        public List<NpcEngineException> Losses { get; } = new List<NpcEngineException>();

        /// <summary>Every poll's time, ms.</summary>
        public List<double> PollTimes { get; } = new List<double>();

        /// <summary>The longest call into the client other than Poll, ms.</summary>
        public double LongestCallMs { get; private set; }

        public int NumPolls => PollTimes.Count;

        public static Game Connected(string address, CurveKeys keys = null)
        {
            var game = new Game(address, keys);
            game.Wait(game.Client.Connect());
            return game;
        }

        public void Dispose()
        {
            Client.Dispose();
        }

        public T Call<T>(Func<T> call)
        {
            long start = Stopwatch.GetTimestamp();
            T result = call();
            LongestCallMs = Math.Max(LongestCallMs, (Stopwatch.GetTimestamp() - start) / TicksPerMs);
            return result;
        }

        public void Poll()
        {
            long start = Stopwatch.GetTimestamp();
            Client.Poll();
            PollTimes.Add((Stopwatch.GetTimestamp() - start) / TicksPerMs);
        }

        /// <summary>Polls as a game does, until it holds.</summary>
        public void Until(Func<bool> holds, string what, double seconds = 10, int frameMs = 1)
        {
            Stopwatch clock = Stopwatch.StartNew();
            while (true)
            {
                Poll();
                if (holds())
                {
                    return;
                }
                if (clock.Elapsed.TotalSeconds > seconds)
                {
                    throw new CheckFailed(what + " did not come within " + seconds + " s");
                }
                Thread.Sleep(frameMs);
            }
        }

        /// <summary>Polls for a while.</summary>
        public void For(double seconds)
        {
            Stopwatch clock = Stopwatch.StartNew();
            Until(() => clock.Elapsed.TotalSeconds > seconds, "the time", seconds + 5);
        }

        public T Wait<T>(NpcRequest<T> request, double seconds = 10)
        {
            NpcEngineException failure = null;
            request.Failed += error => failure = error;
            Until(() => request.IsFinished, "the answer", seconds);
            if (failure != null)
            {
                throw new CheckFailed("failed with " + failure.Message);
            }
            return request.Result;
        }

        public NpcEngineException Fails<T>(NpcRequest<T> request, string code, double seconds = 10)
        {
            NpcEngineException failure = null;
            request.Failed += error => failure = error;
            Until(() => request.IsFinished, "the failure", seconds);
            Check.That(failure != null, "expected " + code + ", but the request succeeded");
            Check.Equal(code, failure.Code);
            return failure;
        }

        public NpcConversation Open(string character = "mara", Action<NpcActionCall> onAction = null, params string[] actions)
        {
            return Wait(Client.Open(character, "ada", "Ada", null, onAction, actions.Length == 0 ? null : actions));
        }

        public Talk Say(NpcConversation conversation, string text)
        {
            return new Talk(this, Call(() => conversation.Say(text)));
        }

        /// <summary>Says a line and waits for the whole reply.</summary>
        public string Ask(NpcConversation conversation, string text)
        {
            return Say(conversation, text).Finish().Text;
        }

        public void CheckLives()
        {
            Check.Equal("scripted", Wait(Client.Health()).Engine["model"]);
        }

        public void CheckPolls()
        {
            foreach (double ms in PollTimes)
            {
                Check.That(ms <= 100, "a poll took " + ms + " ms");
            }
            Check.That(LongestCallMs <= 100, "a call took " + LongestCallMs + " ms");
        }
    }

    /// <summary>One turn and everything heard of it, in order.</summary>
    internal sealed class Talk
    {
        private readonly Game _game;

        public Talk(Game game, NpcTurn turn)
        {
            _game = game;
            Turn = turn;
            turn.TokenReceived += text =>
            {
                Tokens.Add(text);
                Heard.Add("token " + text);
                TokenPolls.Add(game.NumPolls);
            };
            turn.SentenceReceived += sentence =>
            {
                Check.That(sentence.Text.Length <= 1000, "a sentence of " + sentence.Text.Length + " characters");
                Heard.Add("sentence " + sentence.Index + " " + sentence.Text);
            };
            turn.Ended += end => Heard.Add("end " + end.FinishReason + " " + end.Source + " " + end.Text);
            turn.Failed += error =>
            {
                Failures.Add(error);
                Heard.Add("failed " + error.Code);
            };
        }

        public NpcTurn Turn { get; }

        public List<string> Heard { get; } = new List<string>();

        public List<string> Tokens { get; } = new List<string>();

        /// <summary>In which poll each token came.</summary>
        public HashSet<int> TokenPolls { get; } = new HashSet<int>();

        public List<NpcEngineException> Failures { get; } = new List<NpcEngineException>();

        public void UntilToken(double seconds = 10)
        {
            _game.Until(() => Tokens.Count > 0, "the first token", seconds);
        }

        public TurnEnd Finish(double seconds = 10)
        {
            _game.Until(() => Turn.IsOver, "the turn's end", seconds);
            Check.That(Failures.Count == 0, "the turn failed: " + (Failures.Count == 0 ? "" : Failures[0].Message));
            return Turn.End;
        }

        public NpcEngineException Fails(double seconds = 5, params string[] codes)
        {
            _game.Until(() => Turn.IsOver, "the turn's failure", seconds);
            Check.That(Failures.Count == 1, "the turn did not fail once but " + Failures.Count + " times");
            Check.That(Array.IndexOf(codes, Failures[0].Code) >= 0, "failed with " + Failures[0].Message);
            return Failures[0];
        }

        public void CheckHeard(params string[] expected)
        {
            Check.Equal(string.Join("|", expected), string.Join("|", Heard), "heard");
        }

        public void CheckNoGhost()
        {
            foreach (string token in Tokens)
            {
                Check.That(token.IndexOf("Ghost", StringComparison.Ordinal) < 0 && token.Length <= 1000, "heard a ghost");
            }
        }
    }
}
