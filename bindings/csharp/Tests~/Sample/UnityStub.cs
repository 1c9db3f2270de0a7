using System;

// Just enough of Unity's names to compile the sample and to drive it as the editor does.
namespace UnityEngine
{
    public class MonoBehaviour
    {
    }

    [AttributeUsage(AttributeTargets.Field)]
    public sealed class SerializeField : Attribute
    {
    }

    public static class Debug
    {
        public static string LastMessage;

        public static void Log(object message, object context)
        {
            LastMessage = (string)message;
        }

        public static void LogWarning(object message, object context)
        {
            LastMessage = (string)message;
        }
    }

    public static class Time
    {
        public static float unscaledTime;
    }

    public static class Screen
    {
        public static int width = 800;
        public static int height = 600;
    }

    public struct Rect
    {
        public Rect(float x, float y, float width, float height)
        {
        }
    }

    public static class GUILayout
    {
        /// <summary>What the player types, and which button is pressed in the next OnGUI.</summary>
        public static string Typed = "";
        public static string Pressed = "";
        public static string Shown = "";

        public static void BeginArea(Rect area)
        {
        }

        public static void EndArea()
        {
        }

        public static void Label(string text)
        {
            Shown = text;
        }

        public static string TextField(string text)
        {
            return Typed;
        }

        public static bool Button(string label)
        {
            bool isPressed = label == Pressed;
            Pressed = isPressed ? "" : Pressed;
            return isPressed;
        }
    }
}
