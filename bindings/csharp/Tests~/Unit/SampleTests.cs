using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Reflection;
using System.Threading;
using UnityEngine;

namespace NpcEngine.Tests
{
    /// <summary>Unity's sample, driven by the calls that Unity makes.</summary>
    internal static class SampleTests
    {
        public static void AddTo(Dictionary<string, Action> tests)
        {
            tests.Add("sample: greets, streams, sells, loses the server, comes back, and is gone when disabled", Play);
        }

        private static void Call(object script, string method)
        {
            script.GetType().GetMethod(method, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(script, null);
        }

        private static void Until(object script, Func<bool> holds, string what)
        {
            Stopwatch clock = Stopwatch.StartNew();
            while (!holds())
            {
                Check.That(clock.Elapsed.TotalSeconds < 10, what + " did not come; shown: " + GUILayout.Shown);
                Time.unscaledTime += 0.01f;
                Call(script, "Update");
                Call(script, "OnGUI");
                Thread.Sleep(1);
            }
        }

        private static void Script(MiniServer.Peer peer, Dictionary<string, object> message)
        {
            if ((string)message["kind"] == "say")
            {
                peer.Say(message, "Wait");
                peer.Send(MiniServer.Map(
                    "kind", "action_call", "request_id", message["request_id"], "conversation_id", "c1", "call_id", "a1",
                    "name", "sell_item", "arguments", MiniServer.Map("item", "sword")));
                _said = message;
            }
            else if ((string)message["kind"] == "action_result")
            {
                var result = (Dictionary<string, object>)message["result"];
                peer.Send(MiniServer.Map("kind", "ok", "request_id", message["request_id"], "cancelled", null));
                peer.End(_said, "Here is your " + result["sold"] + ".");
            }
        }

        private static Dictionary<string, object> _said;

        private static void Play()
        {
            var script = new TalkingCharacter();
            var server = new MiniServer { Script = Script };
            try
            {
                script.GetType().GetField("address", BindingFlags.Instance | BindingFlags.NonPublic).SetValue(script, server.Address);
                Call(script, "OnEnable");
                Until(script, () => GUILayout.Shown == "Hail.", "the greeting");
                GUILayout.Typed = "A sword, please.";
                GUILayout.Pressed = "Say";
                Until(script, () => GUILayout.Shown == "Here is your sword.", "the sale");
                string address = server.Address;
                server.Dispose();
                Until(script, () => GUILayout.Shown.Contains("ended"), "the loss");
                server = MiniServer.At(address);
                Until(script, () => GUILayout.Shown == "Hail.", "the greeting after a restart");
                Call(script, "OnDisable");
                Processes.CheckNoClientThreads();
                Call(script, "OnEnable");
                Until(script, () => GUILayout.Shown == "Hail.", "the greeting of the second play");
                Call(script, "OnDisable");
            }
            finally
            {
                server.Dispose();
            }
        }
    }
}
