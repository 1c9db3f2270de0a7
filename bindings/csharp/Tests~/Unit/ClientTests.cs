using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace NpcEngine.Tests
{
    /// <summary>The client against a small server on a real socket: threads, tasks, cancellation, limits, ends.</summary>
    internal static class ClientTests
    {
        public static void AddTo(Dictionary<string, Action> tests)
        {
            tests.Add("client: every event and every task ends in the thread that polls", Threads);
            tests.Add("client: requests may follow Connect at once", NoWaiting);
            tests.Add("client: SayAsync streams and returns the end", SayAsync);
            tests.Add("client: a cancelled token cancels the turn, then the task", CancelTurn);
            tests.Add("client: a cancelled token ends the wait for an answer", CancelRequest);
            tests.Add("client: a request without an answer fails with NPC311, the connection lives", Timeout);
            tests.Add("client: nobody listens: NPC311, then ConnectionLost; a server that comes later is found", NobodyThere);
            tests.Add("client: a listener's exception leaves Poll; nothing is lost", ThrowingListener);
            tests.Add("client: an action without a handler is refused", UnhandledAction);
            tests.Add("client: a silent client sends signs of life", KeepAlive);
            tests.Add("client: PING is answered on the wire", Ping);
            tests.Add("client: a game that does not poll costs bounded memory and loses nothing", Backpressure);
            tests.Add("client: errors of nobody go to Error", Unclaimed);
            tests.Add("client: addresses are checked", Addresses);
            tests.Add("client: Dispose in a listener stops everything", DisposeInListener);
            tests.Add("client: Dispose at any moment returns at once and leaves no thread and no socket", DisposeAnytime);
            tests.Add("client: Dispose is short with a server that never reads", DisposeWhileBlocked);
        }

        private static Dictionary<string, object> Map(params object[] pairs)
        {
            return MiniServer.Map(pairs);
        }

        private static void Until(NpcClient client, Func<bool> holds, string what, double seconds = 15)
        {
            Stopwatch clock = Stopwatch.StartNew();
            while (!holds())
            {
                Check.That(clock.Elapsed.TotalSeconds < seconds, what + " did not come");
                client.Poll();
                Thread.Sleep(1);
            }
        }

        private static NpcConversation Open(NpcClient client, Action<NpcActionCall> onAction = null)
        {
            client.Connect();
            NpcRequest<NpcConversation> open = client.Open("mara", "ada", onAction: onAction);
            Until(client, () => open.IsFinished, "the conversation");
            return open.Result;
        }

        private static void Echo(MiniServer.Peer peer, Dictionary<string, object> message)
        {
            if ((string)message["kind"] == "say")
            {
                peer.Say(message, (string)message["text"]);
                peer.End(message, (string)message["text"]);
            }
        }

        private static void Threads()
        {
            using (var server = new MiniServer { Script = Echo })
            using (var client = new NpcClient(server.Address))
            {
                var threads = new HashSet<int>();
                Action mark = () => threads.Add(Thread.CurrentThread.ManagedThreadId);
                client.Connect().Done += _ => mark();
                NpcTurn turn = Open(client).Say("Hello.");
                turn.TokenReceived += _ => mark();
                turn.Ended += _ => mark();
                bool isContinued = false;
                turn.AsTask().ContinueWith(
                    _ =>
                    {
                        mark();
                        isContinued = true;
                    },
                    TaskContinuationOptions.ExecuteSynchronously);
                Until(client, () => isContinued, "the task");
                Check.Equal(1, threads.Count, "threads");
                Check.That(threads.Contains(Thread.CurrentThread.ManagedThreadId), "another thread");
            }
        }

        private static void NoWaiting()
        {
            using (var server = new MiniServer { Script = Echo })
            using (var client = new NpcClient(server.Address))
            {
                string heard = "";
                client.Connect();
                Check.Equal(NpcClientState.Connecting, client.State);
                client.Open("mara", "ada").Done += talk => talk.Say("At once.").TokenReceived += text => heard += text;
                Until(client, () => heard == "At once.", "the reply");
                Check.Equal(NpcClientState.Connected, client.State);
            }
        }

        private static async Task<string> Converse(NpcClient client, CancellationToken token)
        {
            await client.ConnectAsync(token);
            NpcConversation talk = await client.OpenAsync("mara", "ada", cancellation: token);
            string heard = "";
            TurnEnd end = await talk.SayAsync("Steel.", text => heard += text, token);
            await client.WorldEvent("It rains.").AsTask(token).ContinueWith(task => { });
            return talk.Greeting + heard + end.Text;
        }

        private static void SayAsync()
        {
            Action<MiniServer.Peer, Dictionary<string, object>> script = (peer, message) =>
            {
                Echo(peer, message);
                if ((string)message["kind"] == "world_event")
                {
                    peer.Send(Map("kind", "ok", "request_id", message["request_id"], "cancelled", null));
                }
            };
            using (var server = new MiniServer { Script = script })
            using (var client = new NpcClient(server.Address))
            {
                Task<string> task = Converse(client, CancellationToken.None);
                Until(client, () => task.IsCompleted, "the talk");
                Check.Equal("Hail.Steel.Steel.", task.Result);
            }
        }

        private static void CancelTurn()
        {
            Dictionary<string, object> said = null;
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address))
            using (var cancellation = new CancellationTokenSource())
            {
                server.Script = (peer, message) =>
                {
                    if ((string)message["kind"] == "say")
                    {
                        said = message;
                        peer.Say(message, "Hm");
                    }
                    else
                    {
                        peer.Send(Map("kind", "ok", "request_id", message["request_id"], "cancelled", true));
                        peer.End(said, "Hm", "cancelled");
                    }
                };
                string heard = "";
                Task<TurnEnd> task = Open(client).SayAsync("wait", text => heard += text, cancellation.Token);
                Until(client, () => heard == "Hm", "the token");
                ThreadPool.QueueUserWorkItem(_ => cancellation.Cancel());
                Until(client, () => task.IsCompleted, "the cancelled task");
                Check.Equal(TaskStatus.Canceled, task.Status);
            }
        }

        private static void CancelRequest()
        {
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address))
            using (var cancellation = new CancellationTokenSource())
            {
                client.Connect();
                Task<string> task = client.Metrics().AsTask(cancellation.Token);
                cancellation.Cancel();
                Check.That(!task.IsCompleted, "the task ended outside Poll");
                Until(client, () => task.IsCompleted, "the cancelled task");
                Check.Equal(TaskStatus.Canceled, task.Status);
                NpcRequest<string> late = client.Metrics();
                Task<string> cancelledBefore = late.AsTask(cancellation.Token);
                Until(client, () => cancelledBefore.IsCompleted, "the task of a token that was cancelled before");
                Check.Equal(TaskStatus.Canceled, cancelledBefore.Status);
            }
        }

        private static void Timeout()
        {
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address, timeoutSeconds: 0.3))
            {
                NpcEngineException failure = null;
                client.Connect();
                client.Metrics().Failed += error => failure = error;
                Until(client, () => failure != null, "the timeout");
                Check.Equal("NPC311", failure.Code);
                NpcRequest<HealthReport> health = client.Health();
                Until(client, () => health.IsFinished, "health");
                Check.That(health.Result != null, "the connection does not live");
            }
        }

        private static void NobodyThere()
        {
            string address;
            using (var server = new MiniServer())
            {
                address = server.Address;
            }
            using (var client = new NpcClient(address, timeoutSeconds: 0.4))
            {
                var heard = new List<string>();
                client.ConnectionLost += error => heard.Add("lost " + error.Code);
                client.Connect().Failed += error => heard.Add("hello " + error.Code);
                client.Health().Failed += error => heard.Add("health " + error.Code);
                Until(client, () => heard.Count == 3, "the three failures");
                Check.Equal("hello NPC311|health NPC311|lost NPC313", string.Join("|", heard));
                Check.Equal(NpcClientState.Disconnected, client.State);
            }
            using (var client = new NpcClient(address))
            {
                NpcRequest<Welcome> hello = client.Connect();
                Thread.Sleep(200);
                using (MiniServer.At(address))
                {
                    Until(client, () => hello.IsFinished, "the server that came later");
                    Check.Equal("mini", hello.Result?.EngineVersion);
                }
            }
        }

        private static void ThrowingListener()
        {
            using (var server = new MiniServer { Script = Echo })
            using (var client = new NpcClient(server.Address))
            {
                NpcTurn turn = Open(client).Say("Hello.");
                turn.TokenReceived += _ => { throw new InvalidOperationException("the game's bug"); };
                bool isThrown = false;
                try
                {
                    Until(client, () => turn.IsOver, "the end");
                }
                catch (InvalidOperationException)
                {
                    isThrown = true;
                }
                Check.That(isThrown, "the exception was swallowed");
                Until(client, () => turn.IsOver, "the end");
                Check.Equal("Hello.", turn.Text);
            }
        }

        private static void UnhandledAction()
        {
            object refusal = null;
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address))
            {
                server.Script = (peer, message) =>
                {
                    if ((string)message["kind"] == "say")
                    {
                        peer.Send(Map(
                            "kind", "action_call", "request_id", message["request_id"], "conversation_id", "c1", "call_id", "a1",
                            "name", "dance", "arguments", Map()));
                    }
                    else
                    {
                        refusal = message["error"];
                    }
                };
                Open(client).Say("Dance.");
                Until(client, () => refusal != null, "the refusal");
                Check.Equal("nothing in the game can do that", refusal);
            }
        }

        private static void KeepAlive()
        {
            using (var server = new MiniServer { ClientTimeoutSeconds = 0.3 })
            using (var client = new NpcClient(server.Address))
            {
                Open(client);
                Until(client, () => server.LastPeer.NumHealths >= 3, "three signs of life");
                // Neither the game's frames nor its pauses matter to them.
                int before = server.LastPeer.NumHealths;
                Thread.Sleep(500);
                Check.That(server.LastPeer.NumHealths >= before + 2, "no signs of life without Poll");
            }
        }

        private static void Ping()
        {
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address))
            {
                Open(client);
                server.LastPeer.WriteFrame(4, System.Text.Encoding.ASCII.GetBytes("\u0004PING\0\u0001abc"));
                Until(client, () => server.LastPeer.Pong != null, "the PONG");
                Check.Equal("\u0004PONGabc", System.Text.Encoding.ASCII.GetString(server.LastPeer.Pong));
            }
        }

        private static void Backpressure()
        {
            const int num = 15000;
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address, timeoutSeconds: 10))
            {
                int sent = 0;
                server.Script = (peer, message) =>
                {
                    if ((string)message["kind"] == "say")
                    {
                        for (int i = 0; i < num; i++)
                        {
                            peer.Say(message, new string('x', 1000));
                            sent = i + 1;
                        }
                        peer.End(message, "done");
                    }
                };
                NpcTurn turn = Open(client).Say("flood");
                int heard = 0;
                turn.TokenReceived += _ => heard++;
                for (int before = -1; before != Volatile.Read(ref sent);)
                {
                    before = sent;
                    Thread.Sleep(250);
                }
                Check.That(sent < num, "the server could send all messages though nobody polled");
                Check.Equal(256, client.Poll());
                Until(client, () => turn.IsOver, "the end", 20);
                Check.Equal(num, heard);
            }
        }

        private static void Unclaimed()
        {
            using (var server = new MiniServer())
            using (var client = new NpcClient(server.Address))
            {
                var errors = new List<string>();
                client.Error += error => errors.Add(error.Code);
                Open(client);
                server.LastPeer.WriteFrame(0, new byte[] { 0xc1 });
                server.LastPeer.Send(Map("kind", "error", "request_id", null, "code", "NPC206", "message", "m", "hint", "", "retry_after_s", null));
                server.LastPeer.Send(Map("kind", "ok", "request_id", 77777, "cancelled", null));
                Until(client, () => errors.Count == 2, "the errors");
                Check.Equal("NPC201|NPC206", string.Join("|", errors));
            }
        }

        private static void Addresses()
        {
            foreach (string bad in new[] { null, "", "127.0.0.1:5570", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:99999", "tcp://:1", "udp://a:1" })
            {
                Check.Code("NPC001", () => new NpcClient(bad));
            }
            using (var server = new MiniServer { Script = Echo })
            using (var client = new NpcClient(server.Address.Replace("127.0.0.1", "localhost")))
            {
                Check.Equal("Hail.", Open(client).Greeting);
            }
        }

        private static void DisposeInListener()
        {
            using (var server = new MiniServer { Script = Echo })
            {
                var client = new NpcClient(server.Address);
                NpcTurn turn = Open(client).Say("Hello.");
                bool isHeardAfter = false;
                turn.TokenReceived += _ => client.Dispose();
                turn.Ended += _ => isHeardAfter = true;
                Until(client, () => turn.Text.Length > 0, "the token");
                client.Poll();
                Check.That(!isHeardAfter, "an event came after Dispose");
                try
                {
                    client.Connect();
                }
                catch (ObjectDisposedException)
                {
                    return;
                }
                throw new CheckFailed("a disposed client connects");
            }
        }

        private static void DisposeAnytime()
        {
            var random = new Random(5);
            double longestMs = 0;
            using (var server = new MiniServer { Script = Echo })
            {
                for (int run = 0; run < 150; run++)
                {
                    string address = run % 10 == 9 ? "tcp://192.0.2.1:5570" : run % 10 == 8 ? "tcp://localhost:1" : server.Address;
                    var client = new NpcClient(address);
                    client.Connect();
                    NpcRequest<NpcConversation> open = client.Open("mara", "ada");
                    open.Done += talk => talk.Say("Hello.");
                    Task<NpcConversation> task = open.AsTask();
                    Stopwatch until = Stopwatch.StartNew();
                    int lifeUs = random.Next(10000);
                    while (until.Elapsed.TotalMilliseconds * 1000 < lifeUs)
                    {
                        client.Poll();
                        Thread.Yield();
                    }
                    Stopwatch clock = Stopwatch.StartNew();
                    client.Dispose();
                    longestMs = Math.Max(longestMs, clock.Elapsed.TotalMilliseconds);
                    client.Dispose();
                    Check.That(task.IsCompleted, "a task was left open");
                }
                Processes.CheckNoClientThreads();
                Stopwatch patience = Stopwatch.StartNew();
                while (server.NumPeers > 0)
                {
                    Check.That(patience.Elapsed.TotalSeconds < 5, server.NumPeers + " sockets were left open");
                    Thread.Sleep(5);
                }
            }
            Check.That(longestMs < 600, "a Dispose took " + longestMs + " ms");
            Console.WriteLine("# the longest of 150 Dispose took " + longestMs.ToString("0.0") + " ms");
        }

        private static void DisposeWhileBlocked()
        {
            using (var server = new MiniServer())
            {
                var blocked = new ManualResetEvent(false);
                server.Script = (peer, message) => blocked.WaitOne();
                var client = new NpcClient(server.Address);
                NpcConversation talk = Open(client);
                double longestMs = 0;
                NpcEngineException loss = null;
                client.ConnectionLost += error => loss = error;
                for (int i = 0; i < 500; i++)
                {
                    Stopwatch call = Stopwatch.StartNew();
                    talk.WorldEvent(new string('x', 30000));
                    longestMs = Math.Max(longestMs, call.Elapsed.TotalMilliseconds);
                    client.Poll();
                }
                Thread.Sleep(200);
                client.Poll();
                Check.That(loss == null, "500 requests were too many");
                Stopwatch clock = Stopwatch.StartNew();
                client.Dispose();
                Check.That(clock.ElapsedMilliseconds < 600, "Dispose took " + clock.ElapsedMilliseconds + " ms");
                Check.That(longestMs < 1000, "a request took " + longestMs + " ms to make");
                Processes.CheckNoClientThreads();
                client = new NpcClient(server.Address);
                talk = Open(client);
                client.Error += _ => { };
                client.ConnectionLost += error => loss = error;
                for (int i = 0; i < 2500; i++)
                {
                    talk.WorldEvent(new string('x', 10000));
                }
                Until(client, () => loss != null, "the end of a connection whose server reads nothing");
                Check.That(loss.Message.Contains("reads nothing"), loss.Message);
                client.Dispose();
                blocked.Set();
            }
        }
    }
}
