using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace NpcEngine.Tests
{
    /// <summary>Just enough JSON for the wire vectors and the server's line: the same data that a message holds.</summary>
    internal sealed class Json
    {
        private readonly string _text;
        private int _at;

        private Json(string text)
        {
            _text = text;
        }

        public static object Parse(string text)
        {
            var json = new Json(text);
            object value = json.Value();
            json.Space();
            if (json._at != text.Length)
            {
                throw new FormatException("text behind the JSON value");
            }
            return value;
        }

        private object Value()
        {
            Space();
            char c = _text[_at];
            if (c == '{')
            {
                return Map();
            }
            if (c == '[')
            {
                return Array();
            }
            if (c == '"')
            {
                return Text();
            }
            return Word();
        }

        private Dictionary<string, object> Map()
        {
            var map = new Dictionary<string, object>();
            _at++;
            while (!Take('}'))
            {
                Space();
                string key = Text();
                if (!Take(':'))
                {
                    throw new FormatException("no colon at " + _at);
                }
                map.Add(key, Value());
                Take(',');
            }
            return map;
        }

        private List<object> Array()
        {
            var items = new List<object>();
            _at++;
            while (!Take(']'))
            {
                items.Add(Value());
                Take(',');
            }
            return items;
        }

        private string Text()
        {
            var text = new StringBuilder();
            _at++;
            while (_text[_at] != '"')
            {
                char c = _text[_at++];
                if (c != '\\')
                {
                    text.Append(c);
                    continue;
                }
                char escaped = _text[_at++];
                if (escaped == 'u')
                {
                    text.Append((char)int.Parse(_text.Substring(_at, 4), NumberStyles.HexNumber));
                    _at += 4;
                }
                else
                {
                    int known = "nrtbf".IndexOf(escaped);
                    text.Append(known < 0 ? escaped : "\n\r\t\b\f"[known]);
                }
            }
            _at++;
            return text.ToString();
        }

        private object Word()
        {
            int start = _at;
            while (_at < _text.Length && ",]} \n\r\t".IndexOf(_text[_at]) < 0)
            {
                _at++;
            }
            string word = _text.Substring(start, _at - start);
            switch (word)
            {
                case "null": return null;
                case "true": return true;
                case "false": return false;
                default:
                    if (word.IndexOfAny(new[] { '.', 'e', 'E' }) >= 0)
                    {
                        return double.Parse(word, CultureInfo.InvariantCulture);
                    }
                    return long.Parse(word, CultureInfo.InvariantCulture);
            }
        }

        private bool Take(char c)
        {
            Space();
            if (_at < _text.Length && _text[_at] == c)
            {
                _at++;
                return true;
            }
            return false;
        }

        private void Space()
        {
            while (_at < _text.Length && char.IsWhiteSpace(_text[_at]))
            {
                _at++;
            }
        }
    }
}
