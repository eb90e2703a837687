#include "notice/digest_skeleton.hpp"

#include <algorithm>
#include <array>

#include "base/content.hpp"
#include "base/text.hpp"
#include "event/domain.hpp"
#include "event/masked.hpp"
#include "event/observable.hpp"
#include "notice/community.hpp"

namespace bavn::notice {

namespace {

constexpr std::size_t kSegments = 24;        // of a path that are looked at
constexpr std::size_t kSegmentBytes = 2000;  // longer ones are a token, whatever they hold
constexpr std::size_t kShownPath = 360;
constexpr int kWrappings = 3;

/// Calls f(entry) for each line; comments and blank lines are left out.
template <class F>
void each_entry(std::string_view text, F&& f) {
  for (const auto line : split(text, '\n'))
    if (const auto entry = trim(line.substr(0, line.find('#'))); !entry.empty()) f(to_lower(entry));
}

/// f(name) for the host and every name above it, longest first; true as soon as f is.
template <class F>
bool any_above(std::string_view host, F&& f) {
  for (;;) {
    if (f(host)) return true;
    const auto dot = host.find('.');
    if (dot == std::string_view::npos) return false;
    host.remove_prefix(dot + 1);
  }
}

int hex_digit(char c) {
  return ascii_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view s, char sign = '%') {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const int high = s[i] == sign && i + 2 < s.size() ? hex_digit(s[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(s[i + 2]) : -1;
    if (low < 0) {
      out.push_back(s[i]);
    } else {
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

std::string_view query_value(std::string_view query, std::string_view name) {
  for (const auto pair : split(query, '&'))
    if (const auto eq = pair.find('='); eq != std::string_view::npos && iequals(pair.substr(0, eq), name))
      return pair.substr(eq + 1);
  return {};
}

/// Filters that put a link of theirs around another's: the link inside is what is new or not.
std::string unwrapped(std::string_view url) {
  struct Wrapping {
    std::string_view host, path, name;
  };
  static constexpr std::array kWrappers = {
      Wrapping{"safelinks.protection.outlook.com", "/", "url"},
      Wrapping{"safelinks.protection.office365.us", "/", "url"},
      Wrapping{"statics.teams.cdn.office.net", "/evergreen-assets/safelinks/", "url"},
      Wrapping{"linkprotect.cudasvc.com", "/url", "a"},
      Wrapping{"google.com", "/url", "q"},
      Wrapping{"google.com", "/url", "url"},
      Wrapping{"google.dk", "/url", "q"},
      Wrapping{"google.no", "/url", "q"},
      Wrapping{"l.facebook.com", "/l.php", "u"},
      Wrapping{"slack-redir.net", "/link", "url"},
  };
  const std::string_view host = event::url_host(url);
  const auto path_at = event::url_path_begin(url);
  if (path_at == std::string_view::npos) return {};
  const auto query_at = url.find('?', path_at);
  const auto path = url.substr(path_at, query_at == std::string_view::npos ? query_at : query_at - path_at);
  const auto query = query_at == std::string_view::npos ? std::string_view() : url.substr(query_at + 1);
  std::string inside;
  for (const auto& w : kWrappers)
    if (inside.empty() &&
        (host == w.host || (host.ends_with(w.host) && host[host.size() - w.host.size() - 1] == '.')) &&
        path.starts_with(w.path))
      inside = percent_decoded(query_value(query, w.name));
  if (inside.empty() && (host == "urldefense.com" || host == "urldefense.us") && path.starts_with("/v3/__")) {
    auto rest = url.substr(path_at + 6);
    inside = percent_decoded(rest.substr(0, rest.find("__;")));
  }
  if (inside.empty() && host == "urldefense.proofpoint.com" && path.starts_with("/v2/url")) {
    inside = percent_decoded(query_value(query, "u"), '-');
    std::replace(inside.begin(), inside.end(), '_', '/');
  }
  if (inside.empty()) return {};
  const auto known = event::canonical(event::Kind::url, inside);
  return known ? known->value : std::string();
}

bool guid_at(std::string_view s, std::size_t at) {
  constexpr std::string_view kForm = "00000000-0000-0000-0000-000000000000";
  if (s.size() - at < kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i)
    if (kForm[i] == '-' ? s[at + i] != '-' : hex_digit(s[at + i]) < 0) return false;
  return true;
}

/// One segment, subject or name with what differs from mail to mail taken out.
struct Masked {
  std::string text;
  bool personal = false;  // something of it stood for a person or an id: not shown
};

void mask_word(std::string_view word, const Names& names, Masked& out) {
  if (word.empty()) return;
  const auto lower = to_lower_utf8(word);
  if (names.has(lower)) {
    out.text += "{a}";
    out.personal = true;
  } else if (event::looks_random(word)) {
    out.text += "{t}";
    out.personal = true;
  } else {
    for (std::size_t i = 0; i < lower.size(); ++i) {
      if (!ascii_digit(lower[i])) out.text.push_back(lower[i]);
      else if (i == 0 || !ascii_digit(lower[i - 1])) out.text.push_back('#');
    }
  }
}

bool word_character(unsigned char c) {
  return c >= 0x80 || ascii_digit(static_cast<char>(c)) ||
         (ascii_lower(static_cast<char>(c)) >= 'a' && ascii_lower(static_cast<char>(c)) <= 'z');
}

Masked masked(std::string_view s, const Names& names) {
  Masked out;
  if (s.size() > kSegmentBytes || !is_valid_utf8(s)) return {"{t}", true};
  if (s.contains('@')) {
    // an address and what stands around it: the words before its domain are somebody's
    out.personal = true;
    out.text = "{a}";
    return out;
  }
  if (names.has(to_lower_utf8(s))) return {"{a}", true};
  std::string joined;
  bool digits = false;
  std::size_t begin = 0, longest = 0;
  for (std::size_t i = 0; i <= s.size();) {
    if (i < s.size() && guid_at(s, i) && (i == 0 || hex_digit(s[i - 1]) < 0)) {
      mask_word(s.substr(begin, i - begin), names, out);
      out.text += "{id}";
      out.personal = true;
      i += 36;
      begin = i;
      continue;
    }
    if (i < s.size() && word_character(static_cast<unsigned char>(s[i]))) {
      joined.push_back(s[i]);
      digits = digits || ascii_digit(s[i]);
      ++i;
      continue;
    }
    mask_word(s.substr(begin, i - begin), names, out);
    longest = std::max(longest, i - begin);
    if (i < s.size()) {
      const char c = s[i];
      // marks of ours and of URLs must not be made from what stands there
      if (std::string_view("{}#%/?").contains(c) || static_cast<unsigned char>(c) < 0x20) out.text += '!';
      else out.text.push_back(c);
    }
    begin = ++i;
  }
  // a token that was written in groups, a name written together with others'
  if (digits && longest <= event::kTokenGroup && event::looks_random(joined) && !out.personal) return {"{t}", true};
  if (names.has(to_lower_utf8(joined))) return {"{a}", true};
  return out;
}

std::string shown(std::string_view plain, const Masked& m) {
  std::size_t characters = 0;
  for (const char c : plain) characters += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  return m.personal || characters > event::kShownSegment ? "*" : event::shown_segment(m.text);
}

}  // namespace

HostLists HostLists::parse(std::string_view shared, std::string_view meeting, std::string_view free_mail) {
  HostLists lists;
  each_entry(shared, [&](std::string entry) {
    while (entry.ends_with('/')) entry.pop_back();
    const auto slash = entry.find('/');
    lists.shared_.insert(entry.substr(0, slash));
    if (slash != std::string::npos) lists.own_words_.insert(std::move(entry));
  });
  each_entry(meeting, [&](std::string entry) { lists.meeting_.insert(std::move(entry)); });
  each_entry(free_mail, [&](std::string entry) { lists.free_mail_.insert(std::move(entry)); });
  return lists;
}

HostLists HostLists::embedded() {
  const auto text = [](std::string_view path) { return std::string(content::file(path).value_or(std::string_view())); };
  return parse(text("content/never_block/shared_hosts.txt") + "\n" + text("content/never_block/suffixes.txt"),
               text("content/notice/meeting_hosts.txt"), text("content/never_block/free_mail.txt"));
}

bool HostLists::shared(std::string_view host) const {
  return any_above(host, [&](std::string_view name) { return shared_.contains(name); });
}
bool HostLists::meeting(std::string_view host) const {
  return any_above(host, [&](std::string_view name) { return meeting_.contains(name); });
}
bool HostLists::free_mail(std::string_view domain) const {
  return any_above(domain, [&](std::string_view name) { return free_mail_.contains(name); });
}

std::size_t HostLists::own_words(std::string_view host, std::span<const std::string_view> segments) const {
  std::size_t most = 0;
  any_above(host, [&](std::string_view name) {
    std::string path(name);
    for (std::size_t i = 0; i < segments.size() && i < 8; ++i) {
      path += '/';
      path += to_lower(segments[i]);
      if (own_words_.contains(path)) most = std::max(most, i + 1);
    }
    return most > 0;
  });
  return most;
}

Names::Names(std::span<const std::string> addresses) {
  for (const auto& address : addresses) {
    const std::string local = to_lower_utf8(std::string_view(address).substr(0, address.rfind('@')));
    if (local.size() < 3) continue;
    words_.insert(local);
    std::string together;
    std::vector<std::string> words(1);
    for (const char c : local) {
      if (std::string_view("._-+").contains(c)) {
        words.emplace_back();
      } else {
        words.back().push_back(c);
        together.push_back(c);
      }
    }
    words_.insert(together);
    if (words.size() > 1)
      for (auto& w : words)
        if (w.size() >= 4) words_.insert(std::move(w));
  }
}

std::optional<Skeleton> skeleton_of(std::string_view url, const HostLists& lists, const Names& names) {
  std::string inside;
  for (int i = 0; i < kWrappings; ++i) {
    auto next = unwrapped(url);
    if (next.empty()) break;
    inside = std::move(next);
    url = inside;
  }
  Skeleton out;
  out.scheme = "http";
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos && scheme < url.find('/')) {
    out.scheme = url.substr(0, scheme);
    if (out.scheme != "ftp" && out.scheme != "ftps" && out.scheme != "sftp") return std::nullopt;
    url.remove_prefix(scheme + 3);
  }
  const auto slash = url.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const std::string_view host = event::url_host(url);
  const std::string_view port = url.substr(0, slash).substr(url.starts_with('[') ? host.size() + 2 : host.size());
  if (!event::public_host(host)) return std::nullopt;
  out.plain_host = host;

  const bool is_shared = lists.shared(host);
  const auto registrable = is_shared ? host : event::registrable_domain(host);
  std::string host_text, host_shown;
  if (url.starts_with('[')) {
    host_text = host_shown = "[" + std::string(host) + "]";
  } else if (registrable.empty() || registrable == host) {
    host_text = host_shown = host;
  } else {
    bool masked_before = false;  // what is shown is masked from the left down to the last masked label
    std::vector<std::string> labels;
    for (const auto label : split(host.substr(0, host.size() - registrable.size() - 1), '.')) {
      const bool hide = event::looks_random(label) || label.size() > event::kShownSegment || guid_at(label, 0) ||
                        names.has(label) || masked(label, names).text.contains("{a}");
      host_text += hide ? "{t}." : std::string(label) + ".";
      labels.push_back(hide ? "*" : std::string(label));
      masked_before = masked_before || hide;
    }
    if (masked_before) {
      std::size_t last = 0;
      for (std::size_t i = 0; i < labels.size(); ++i)
        if (labels[i] == "*") last = i;
      for (std::size_t i = 0; i <= last; ++i) labels[i] = "*";
    }
    for (const auto& l : labels) host_shown += l + ".";
    host_text += registrable;
    host_shown += registrable;
  }
  out.host = host_shown + std::string(port);
  if (!event::check_shown_host(out.host)) return std::nullopt;  // a port that is none: nobody can open it
  out.text = host_text + std::string(port);
  if (out.scheme != "http") out.text = out.scheme + "://" + out.text;

  auto path = url.substr(slash);
  path = path.substr(0, path.find_first_of("?#"));
  std::vector<std::string_view> segments;
  for (const auto s : split(path, '/'))
    if (!s.empty()) segments.push_back(s);
  std::size_t keep = std::min(segments.size(), kSegments);
  std::size_t own = 0;
  if (is_shared) {
    own = lists.own_words(host, segments);
    keep = std::min(segments.size(), own + 1);
  }
  for (std::size_t i = 0; i < keep; ++i) {
    // twice: addresses in links are often encoded again
    const auto once = percent_decoded(segments[i]);
    const auto plain = once.contains('%') ? percent_decoded(once) : once;
    const auto m = masked(plain, names);
    if (is_shared && i < own) {
      out.text += "/" + to_lower(segments[i]);
    } else if (is_shared) {
      // on a shared host this segment is the page: it stays as it is, unless it is a person's address
      out.text += plain.contains('@') ? "/{a}" : "/" + std::string(segments[i].substr(0, kSegmentBytes));
    } else {
      out.text += "/" + m.text;
    }
    std::string piece;
    if (is_shared && !m.personal) {
      const Masked as_it_is{plain, false};
      piece = shown(plain, event::may_be_shown(plain) ? as_it_is : m);
    } else {
      piece = shown(plain, m);
    }
    if (i >= event::kShownSegments || out.path.size() + piece.size() > kShownPath) continue;
    out.path += "/" + piece;
  }
  if (keep < segments.size() && !is_shared) out.text += "/{more}";
  if (keep == 0) out.text += "/";
  if (out.path.empty()) out.path = "/";
  return out;
}

bool active_name(std::string_view file_name) {
  static constexpr std::array<std::string_view, 88> kEndings = {"html",      "htm",
                                                                "xhtml",     "xht",
                                                                "shtml",     "mht",
                                                                "mhtml",     "svg",
                                                                "svgz",      "zip",
                                                                "7z",        "rar",
                                                                "gz",        "tgz",
                                                                "tar",       "bz2",
                                                                "xz",        "cab",
                                                                "ace",       "arj",
                                                                "lzh",       "z",
                                                                "iso",       "img",
                                                                "vhd",       "vhdx",
                                                                "dmg",       "udf",
                                                                "docm",      "dotm",
                                                                "xlsm",      "xltm",
                                                                "xlam",      "xlsb",
                                                                "pptm",      "potm",
                                                                "ppam",      "ppsm",
                                                                "one",       "onepkg",
                                                                "pub",       "rtf",
                                                                "slk",       "iqy",
                                                                "xll",       "wll",
                                                                "lnk",       "url",
                                                                "website",   "scf",
                                                                "exe",       "com",
                                                                "scr",       "pif",
                                                                "cpl",       "dll",
                                                                "msi",       "msix",
                                                                "appx",      "appinstaller",
                                                                "js",        "jse",
                                                                "vbs",       "vbe",
                                                                "wsf",       "wsh",
                                                                "hta",       "ps1",
                                                                "psm1",      "bat",
                                                                "cmd",       "jar",
                                                                "jnlp",      "chm",
                                                                "reg",       "sh",
                                                                "py",        "apk",
                                                                "app",       "pkg",
                                                                "deb",       "rpm",
                                                                "rdp",       "library-ms",
                                                                "search-ms", "settingcontent-ms",
                                                                "theme",     "eml"};
  const auto dot = file_name.rfind('.');
  if (dot == std::string_view::npos) return false;
  const auto ending = to_lower(trim(file_name.substr(dot + 1)));
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

std::string shown_file_name(std::string_view file_name, const Names& names) {
  const auto slash = file_name.find_last_of("/\\");
  if (slash != std::string_view::npos) file_name.remove_prefix(slash + 1);
  const auto dot = file_name.rfind('.');
  std::string ending;
  if (dot != std::string_view::npos) {
    ending = to_lower(trim(file_name.substr(dot + 1)));
    if (ending.size() > 10 || ending == "*" || event::shown_segment(ending) != ending) ending.clear();
  }
  const auto stem = file_name.substr(0, dot);
  auto text = shown(stem, masked(stem, names));
  if (text.size() > 100) text = "*";
  if (!ending.empty()) text += "." + ending;
  return event::check_shown_file_name(text) ? text : "*";
}

std::string subject_shape(std::string_view subject, const Names& names) {
  std::string lower = to_lower_utf8(repair_utf8(subject.substr(0, 400)));
  std::string_view rest = trim(lower);
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix :
         {"re:", "sv:", "fw:", "fwd:", "vs:", "aw:", "vedr:", "[ekstern]", "[external]", "ekstern:"})
      if (rest.starts_with(prefix)) {
        rest = trim(rest.substr(prefix.size()));
        again = true;
      }
  }
  std::string out;
  for (const auto word : split(rest, ' ')) {
    if (trim(word).empty()) continue;
    if (!out.empty()) out += ' ';
    out += masked(trim(word), names).text;
  }
  return out;
}

}  // namespace bavn::notice
