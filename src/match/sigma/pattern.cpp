#include "match/sigma/pattern.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::size_t kMaxDashes = 4;           // 625 forms
constexpr std::size_t kMaxExpansions = 10'000;  // of one value

// - / en dash, em dash, horizontal bar
constexpr std::array<std::string_view, 5> kDashes = {"-", "/", "\xE2\x80\x93", "\xE2\x80\x94", "\xE2\x80\x95"};

std::size_t dash_at(const Pattern& p, std::size_t at) {
  for (const auto dash : kDashes) {
    if (at + dash.size() > p.size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < dash.size(); ++i) same = same && p[at + i] == static_cast<unsigned char>(dash[i]);
    if (same) return dash.size();
  }
  return 0;
}

bool is_word(char16_t u) {
  return u < 0x100 &&
         ((u >= '0' && u <= '9') || (u >= 'A' && u <= 'Z') || (u >= 'a' && u <= 'z') || u == '_' || u >= 0x80);
}

void append(Pattern& out, std::string_view bytes) {
  for (const char c : bytes) out += static_cast<unsigned char>(c);
}

std::string base64(std::string_view in) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < in.size(); i += 3) {
    const auto b = [&](std::size_t k) -> std::uint32_t {
      return k < in.size() ? static_cast<unsigned char>(in[k]) : 0;
    };
    const std::uint32_t v = b(i) << 16 | b(i + 1) << 8 | b(i + 2);
    out += kAlphabet[v >> 18];
    out += kAlphabet[v >> 12 & 63];
    out += i + 1 < in.size() ? kAlphabet[v >> 6 & 63] : '=';
    out += i + 2 < in.size() ? kAlphabet[v & 63] : '=';
  }
  return out;
}

}  // namespace

Result<Placeholders> parse_placeholders(std::string_view text) {
  Placeholders out;
  std::size_t number = 0;
  for (const auto raw : split(text, '\n')) {
    ++number;
    const auto line = trim(raw);
    if (line.empty() || line.front() == '#') continue;
    const auto equals = line.find('=');
    auto name = trim(line.substr(0, equals));
    if (name.size() > 2 && name.front() == '%' && name.back() == '%') name = name.substr(1, name.size() - 2);
    if (equals == std::string_view::npos || name.empty())
      return fail(Code::bad_input, "expected 'name = value'", std::to_string(number));
    out[std::string(name)].emplace_back(trim(line.substr(equals + 1)));
  }
  return out;
}

Pattern parse_pattern(std::string_view text) {
  Pattern out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size() && (text[i + 1] == '*' || text[i + 1] == '?' || text[i + 1] == '\\')) {
      out += static_cast<unsigned char>(text[++i]);
    } else if (c == '*') {
      out += kRun;
    } else if (c == '?') {
      out += kOne;
    } else {
      out += static_cast<unsigned char>(c);
    }
  }
  return out;
}

Pattern plain_pattern(std::string_view text) {
  Pattern out;
  append(out, text);
  return out;
}

bool has_wildcards(const Pattern& p) {
  return p.find(kRun) != Pattern::npos || p.find(kOne) != Pattern::npos;
}

std::optional<std::string> bytes_of(const Pattern& p) {
  std::string out;
  for (const char16_t u : p) {
    if (u < 0x100) out += static_cast<char>(u);
    else if (u == kBom) out += "\xFF\xFE";
    else return std::nullopt;
  }
  return out;
}

Result<std::vector<Pattern>> windash(const Pattern& p) {
  std::vector<Pattern> out(1);
  std::size_t dashes = 0;
  for (std::size_t i = 0; i < p.size();) {
    const std::size_t n = dash_at(p, i);
    const bool begins_word = n != 0 && (i == 0 || !is_word(p[i - 1]) || (i >= 3 && dash_at(p, i - 3) == 3)) &&
                             i + n < p.size() && is_word(p[i + n]) && dash_at(p, i + n) == 0;
    if (!begins_word) {
      for (auto& form : out) form += p[i];
      ++i;
      continue;
    }
    if (++dashes > kMaxDashes)
      return fail(Code::bad_input,
                  fmt::format("'windash' on a value with more than {} dashes: split it into several values with "
                              "'contains|all|windash'",
                              kMaxDashes));
    std::vector<Pattern> next;
    next.reserve(out.size() * kDashes.size());
    for (const auto& form : out) {
      for (const auto dash : kDashes) {
        next.push_back(form);
        append(next.back(), dash);
      }
    }
    out = std::move(next);
    i += n;
  }
  return out;
}

Result<Pattern> to_utf16(const Pattern& p, Utf16 how) {
  Pattern out;
  if (how == Utf16::little_with_bom) out += kBom;
  const auto unit = [&](std::uint32_t u) {
    const auto high = static_cast<char16_t>(u >> 8), low = static_cast<char16_t>(u & 0xFF);
    if (how == Utf16::big) (out += high) += low;
    else (out += low) += high;
  };
  for (std::size_t i = 0; i < p.size();) {
    const char16_t u = p[i];
    if (u >= 0x100) {
      out += u;
      ++i;
      continue;
    }
    const std::size_t n = u < 0x80 ? 1 : u < 0xE0 ? 2 : u < 0xF0 ? 3 : 4;
    std::uint32_t c = n == 1 ? u : u & (0x7FU >> n);
    if (i + n > p.size()) return fail(Code::bad_input, "this value cannot be encoded as UTF-16 a second time");
    for (std::size_t k = 1; k < n; ++k) {
      if ((p[i + k] & 0xFFC0) != 0x80)
        return fail(Code::bad_input, "this value cannot be encoded as UTF-16 a second time");
      c = c << 6 | (p[i + k] & 0x3FU);
    }
    if (c < 0x10000) {
      unit(c);
    } else {
      unit(0xD800 + ((c - 0x10000) >> 10));
      unit(0xDC00 + ((c - 0x10000) & 0x3FF));
    }
    i += n;
  }
  return out;
}

Result<Pattern> to_base64(const Pattern& p) {
  const auto bytes = bytes_of(p);
  if (!bytes)
    return fail(Code::bad_input,
                "'base64' cannot encode wildcards: put it before contains, startswith or endswith, and "
                "escape * and ? with a backslash");
  return plain_pattern(base64(*bytes));
}

Result<std::vector<Pattern>> to_base64_offsets(const Pattern& p) {
  const auto bytes = bytes_of(p);
  if (!bytes)
    return fail(Code::bad_input,
                "'base64offset' cannot encode wildcards: put it before contains, and escape * and ? "
                "with a backslash");
  if (bytes->empty()) return fail(Code::bad_input, "'base64offset' needs a value");
  static constexpr std::size_t kFrom[3] = {0, 2, 3};
  static constexpr std::size_t kCut[3] = {0, 3, 2};
  std::vector<Pattern> out;
  for (std::size_t shift = 0; shift < 3; ++shift) {
    const std::string all = base64(std::string(shift, ' ') + *bytes);
    const std::size_t end = all.size() - kCut[(bytes->size() + shift) % 3];
    if (end <= kFrom[shift])
      return fail(Code::bad_input, "'base64offset' on a value so short that nothing fixed remains: use a longer one");
    out.push_back(plain_pattern(all.substr(kFrom[shift], end - kFrom[shift])));
  }
  return out;
}

Result<std::vector<Pattern>> expand(const Pattern& p, const Placeholders& placeholders) {
  std::vector<Pattern> out(1);
  const auto literal = [&](char16_t u) {
    for (auto& form : out) form += u;
  };
  for (std::size_t i = 0; i < p.size();) {
    if (p[i] == '\\' && i + 1 < p.size() && p[i + 1] == '%') {
      literal('%');
      i += 2;
      continue;
    }
    const std::size_t end = p[i] == '%' ? p.find(u'%', i + 1) : Pattern::npos;
    std::string name;
    bool is_name = end != Pattern::npos && end > i + 1;
    for (std::size_t k = i + 1; is_name && k < end; ++k) {
      is_name = p[k] < 0x100 && p[k] != '\\';
      name += static_cast<char>(p[k]);
    }
    if (!is_name) {
      literal(p[i++]);
      continue;
    }
    const auto found = placeholders.find(name);
    if (found == placeholders.end()) {
      return fail(
          Code::bad_input,
          placeholders.empty()
              ? fmt::format("needs a value for the placeholder %{}%: name a placeholders file that has it", name)
              : fmt::format("the placeholders file has no value for %{}%: add a line '{} = ...'", name, name));
    }
    if (out.size() * found->second.size() > kMaxExpansions)
      return fail(Code::bad_input,
                  fmt::format("the placeholders of one value give more than {} combinations", kMaxExpansions));
    std::vector<Pattern> next;
    for (const auto& form : out)
      for (const auto& value : found->second) next.push_back(form + parse_pattern(value));
    out = std::move(next);
    i = end + 1;
  }
  return out;
}

}  // namespace bavn::match::sigma
