#include "jail/html_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/text.hpp"

namespace bavn::jail {

namespace {

struct Name {
  std::string_view name;
  std::uint32_t code;
};

// HTML 4's names of Latin-1, from 160 on, and what programs that write mail also use.
constexpr std::array<std::string_view, 96> kLatin = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",    "copy",   "ordf",
    "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn", "sup2",   "sup3",   "acute",  "micro",
    "para",   "middot", "cedil",  "sup1",   "ordm",   "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave",
    "Aacute", "Acirc",  "Atilde", "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",
    "Igrave", "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde", "Ouml",
    "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",  "szlig",  "agrave", "aacute",
    "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil", "egrave", "eacute", "ecirc",  "euml",   "igrave",
    "iacute", "icirc",  "iuml",   "eth",    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide",
    "oslash", "ugrave", "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};
constexpr Name kOthers[] = {
    {"amp", '&'},       {"lt", '<'},       {"gt", '>'},        {"quot", '"'},      {"apos", '\''},
    {"Tab", '\t'},      {"NewLine", '\n'}, {"colon", ':'},     {"sol", '/'},       {"period", '.'},
    {"commat", '@'},    {"num", '#'},      {"quest", '?'},     {"equals", '='},    {"lpar", '('},
    {"rpar", ')'},      {"lsqb", '['},     {"rsqb", ']'},      {"lbrack", '['},    {"rbrack", ']'},
    {"lowbar", '_'},    {"percnt", '%'},   {"comma", ','},     {"semi", ';'},      {"excl", '!'},
    {"dollar", '$'},    {"plus", '+'},     {"ast", '*'},       {"hyphen", 0x2010}, {"ndash", 0x2013},
    {"mdash", 0x2014},  {"lsquo", 0x2018}, {"rsquo", 0x2019},  {"sbquo", 0x201A},  {"ldquo", 0x201C},
    {"rdquo", 0x201D},  {"bdquo", 0x201E}, {"dagger", 0x2020}, {"bull", 0x2022},   {"hellip", 0x2026},
    {"permil", 0x2030}, {"prime", 0x2032}, {"lsaquo", 0x2039}, {"rsaquo", 0x203A}, {"euro", 0x20AC},
    {"trade", 0x2122},  {"larr", 0x2190},  {"rarr", 0x2192},   {"minus", 0x2212},  {"le", 0x2264},
    {"ge", 0x2265},     {"zwnj", 0x200C},  {"zwj", 0x200D},    {"ensp", 0x2002},   {"emsp", 0x2003},
    {"thinsp", 0x2009}, {"OElig", 0x152},  {"oelig", 0x153},   {"Scaron", 0x160},  {"scaron", 0x161},
    {"fnof", 0x192},    {"circ", 0x2C6},   {"tilde", 0x2DC},
};

std::optional<std::uint32_t> named(std::string_view name) {
  if (const auto at = std::ranges::find(kLatin, name); at != kLatin.end())
    return 160U + static_cast<std::uint32_t>(at - kLatin.begin());
  for (const Name& each : kOthers)
    if (each.name == name) return each.code;
  return std::nullopt;
}

/// "&amp;" and "&#38;" are "&"; what is no entity stays as it is.
std::string resolved(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '&') {
      out += text[i];
      continue;
    }
    std::size_t end = i + 1;
    if (end < text.size() && text[end] == '#') ++end;
    const std::size_t most = std::min(text.size(), i + 12);
    while (end < most &&
           ((text[end] >= '0' && text[end] <= '9') || (ascii_lower(text[end]) >= 'a' && ascii_lower(text[end]) <= 'z')))
      ++end;
    std::string_view name = text.substr(i + 1, end - i - 1);
    std::optional<std::uint32_t> code;
    if (name.starts_with('#')) {
      name.remove_prefix(1);
      const bool hex = name.starts_with('x') || name.starts_with('X');
      if (hex) name.remove_prefix(1);
      std::uint32_t n = 0;
      const auto [stop, ec] = std::from_chars(name.data(), name.data() + name.size(), n, hex ? 16 : 10);
      if (ec == std::errc{} && stop == name.data() + name.size() && n > 0 && n < 0x110000 && (n < 0xD800 || n > 0xDFFF))
        code = n;
    } else {
      code = named(name);
    }
    if (!code) {
      out += '&';
      continue;
    }
    append_utf8(out, *code);
    i = end < text.size() && text[end] == ';' ? end : end - 1;
  }
  return out;
}

constexpr bool space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

struct Tag {
  std::string name{};  // lower case
  bool closes = false;
  std::string_view rest{};  // its attributes
  std::size_t end = 0;      // behind its ">"
};

/// The tag that begins at html[at] == '<', or none: then it is a character. A quote that is never closed ends where the tag would.
std::optional<Tag> tag_at(std::string_view html, std::size_t at) {
  Tag tag;
  std::size_t i = at + 1;
  if (i < html.size() && html[i] == '/') {
    tag.closes = true;
    ++i;
  }
  const auto letter = [&](std::size_t k) {
    return k < html.size() && ascii_lower(html[k]) >= 'a' && ascii_lower(html[k]) <= 'z';
  };
  if (!letter(i)) return std::nullopt;
  // What a tag may be long: a mail with a "<" and no ">" would else be searched to its end for each.
  constexpr std::size_t kLongestTag = 16'384;
  const std::size_t most = std::min(html.size(), at + kLongestTag);
  if (html.substr(i, most - i).find('>') == std::string_view::npos) return std::nullopt;
  for (; i < html.size() && !space(html[i]) && html[i] != '>' && html[i] != '/'; ++i)
    if (tag.name.size() < 20) tag.name += ascii_lower(html[i]);
  const std::size_t from = i;
  char quote = 0;
  for (; i < most; ++i) {
    const char c = html[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && i > from && html[i - 1] == '=') {
      quote = c;
    } else if (c == '>') {
      break;
    }
  }
  if (i >= most) {
    i = from + html.substr(from, most - from).find('>');
  }
  tag.rest = html.substr(from, i - from);
  tag.end = i + 1;
  return tag;
}

/// The value of an attribute, resolved, without spaces and line ends in it (browsers drop them from addresses).
std::string attribute(std::string_view rest, std::string_view wanted) {
  for (std::size_t i = 0; i < rest.size();) {
    while (i < rest.size() && (space(rest[i]) || rest[i] == '/')) ++i;
    const std::size_t from = i;
    while (i < rest.size() && !space(rest[i]) && rest[i] != '=') ++i;
    const std::string_view name = rest.substr(from, i - from);
    while (i < rest.size() && space(rest[i])) ++i;
    std::string_view value;
    if (i < rest.size() && rest[i] == '=') {
      ++i;
      while (i < rest.size() && space(rest[i])) ++i;
      if (i < rest.size() && (rest[i] == '"' || rest[i] == '\'')) {
        const std::size_t end = std::min(rest.find(rest[i], i + 1), rest.size());
        value = rest.substr(i + 1, end - i - 1);
        i = end + 1;
      } else {
        const std::size_t start = i;
        while (i < rest.size() && !space(rest[i])) ++i;
        value = rest.substr(start, i - start);
      }
    } else if (name.empty()) {
      ++i;
    }
    if (iequals(name, wanted)) {
      std::string out = resolved(value);
      std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '<' || c == '>'; });
      return out;
    }
  }
  return {};
}

constexpr std::string_view kBlocks[] = {"p",  "div",        "br",      "hr",    "li", "tr",  "table", "ul",
                                        "ol", "h1",         "h2",      "h3",    "h4", "h5",  "h6",    "pre",
                                        "dt", "blockquote", "section", "title", "dd", "form"};
constexpr std::string_view kHidden[] = {"script", "style", "template", "noembed", "xml"};
constexpr std::pair<std::string_view, std::string_view> kTargets[] = {
    {"a", "href"},      {"area", "href"},         {"form", "action"}, {"img", "src"},
    {"iframe", "src"},  {"button", "formaction"}, {"base", "href"},   {"embed", "src"},
    {"object", "data"}, {"link", "href"},
};

std::string target_of(const Tag& tag) {
  for (const auto& [name, key] : kTargets)
    if (tag.name == name) {
      std::string url = attribute(tag.rest, key);
      const auto colon = url.find(':');
      const std::string scheme = to_lower(std::string_view(url).substr(0, std::min<std::size_t>(colon, 12)));
      if (scheme == "http" || scheme == "https" || scheme == "ftp" || scheme == "mailto" || scheme == "file" ||
          scheme == "smb")
        return url;
      if (url.starts_with("//")) return "https:" + url;
      return {};
    }
  return {};
}

/// Calls words(raw text) and tag(Tag); comments and what is hidden are left out.
template <class Words, class OnTag>
void walk(std::string_view html, const Words& words, const OnTag& on_tag) {
  std::size_t from = 0;
  for (std::size_t i = 0; i < html.size();) {
    if (html[i] != '<') {
      ++i;
      continue;
    }
    const std::string_view rest = html.substr(i);
    if (rest.starts_with("<!") || rest.starts_with("<?")) {
      words(html.substr(from, i - from));
      // Conditional comments of Outlook hold nothing that others see, but "<![endif]>" is a tag of its own.
      const bool comment = rest.starts_with("<!--");
      const auto end = html.find(comment ? std::string_view("-->") : std::string_view(">"), i + 2);
      if (end == std::string_view::npos) return;
      from = i = end + (comment ? 3 : 1);
      continue;
    }
    const auto tag = tag_at(html, i);
    if (!tag) {
      ++i;
      continue;
    }
    words(html.substr(from, i - from));
    from = i = tag->end;
    on_tag(*tag);
    if (tag->closes || std::ranges::find(kHidden, tag->name) == std::end(kHidden)) continue;
    // Up to its own end tag, whatever looks like a tag in between.
    for (;;) {
      const auto end = html.find("</", i);
      if (end == std::string_view::npos) return;
      i = end + 2;
      if (!iequals(html.substr(i, tag->name.size()), tag->name)) continue;
      const auto close = html.find('>', i);
      if (close == std::string_view::npos) return;
      from = i = close + 1;
      break;
    }
  }
  words(html.substr(from));
}

}  // namespace

std::string html_text(std::string_view html) {
  std::string out;
  bool gap = false;
  std::string link;           // the target of the link that is open
  std::size_t link_from = 0;  // where its words begin in `out`
  int pre = 0;
  const auto line = [&] {
    while (!out.empty() && out.back() == ' ') out.pop_back();
    // At most one empty line.
    if (!out.empty() && !(out.size() > 1 && out.back() == '\n' && out[out.size() - 2] == '\n')) out += '\n';
    gap = false;
  };
  const auto say = [&](std::string_view word) {
    if (gap && !out.empty() && out.back() != '\n') out += ' ';
    gap = false;
    out += word;
  };
  const auto end_link = [&] {
    if (link.empty()) return;
    const std::string_view words = trim(std::string_view(out).substr(std::min(link_from, out.size())));
    if (words != link) {
      gap = true;
      say("<" + link + ">");
    }
    link.clear();
  };
  walk(
      html,
      [&](std::string_view raw) {
        const std::string text = resolved(raw);
        std::size_t from = 0;
        for (std::size_t i = 0; i <= text.size(); ++i) {
          if (i < text.size() && !space(text[i])) continue;
          if (i > from) say(std::string_view(text).substr(from, i - from));
          if (i < text.size()) {
            if (pre > 0 && text[i] == '\n') out += '\n';
            else gap = true;
          }
          from = i + 1;
        }
      },
      [&](const Tag& tag) {
        if (tag.name == "pre") pre = std::max(0, pre + (tag.closes ? -1 : 1));
        if (tag.name == "a") end_link();
        if (std::ranges::find(kBlocks, tag.name) != std::end(kBlocks)) line();
        if (tag.name == "td" || tag.name == "th") gap = true;
        if (tag.closes) return;
        std::string url = target_of(tag);
        if (url.empty()) return;
        if (tag.name == "a") {
          link = std::move(url);
          link_from = out.size();
          return;
        }
        gap = true;
        say("<" + url + ">");
        gap = true;
      });
  end_link();
  return out;
}

void html_targets(std::string_view html, const std::function<void(std::string_view url)>& each) {
  walk(
      html, [](std::string_view) {},
      [&](const Tag& tag) {
        if (tag.closes) return;
        if (const std::string url = target_of(tag); !url.empty()) each(url);
      });
}

}  // namespace bavn::jail
