#pragma once
// What the exports share: what may stand in a line at all, what is let through here, counting what is left out.
// Life: a Writer lives for one call of Export::write. Thread rules: one thread.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/ip.hpp"
#include "warn/exports/export.hpp"

namespace bavn::warn::exports {

/// Letters, digits, '-', '_' in labels of 1 to 63, with dots between, at most 253 bytes: nothing that any format reads as its own.
bool safe_name(std::string_view name);
/// host[:port]/path[?query] of the characters RFC 3986 knows, without quotes, '*', '^' and what else formats read as their own.
bool safe_url(std::string_view url);
/// local@domain, local of letters, digits and !#$%&+-./=?_{|}~ without '*', quotes and white space.
bool safe_address(std::string_view address);
/// Printable ASCII without white space, quotes, '<', '>', '\\' and '`'.
bool safe_message_id(std::string_view id);
/// Letters, digits and '-', at most 64.
bool safe_id(std::string_view id);

/// What a person here lets through, as a question.
class Allowed {
 public:
  explicit Allowed(const std::vector<event::Observable>& allow);
  /// Why the entry must not be in a list that knows no exceptions; empty: it may.
  std::string covers(const event::Observable& what) const;
  /// Only what is let through itself or lies below it: for formats that can say "but not this".
  std::string covers_all(const event::Observable& what) const;
  const std::vector<std::string>& names() const { return names_; }  // sorted

 private:
  std::set<event::Observable> exact_;
  std::vector<std::string> names_;  // domains
  std::set<std::string, std::less<>> backwards_, hosts_;
  std::vector<event::Cidr> networks_;
};

struct Exceptions {
  bool has = false;  // the format lets through what stands beside the entry
};

class Writer {
 public:
  /// comment: what begins a comment line in this format; empty: it knows none.
  Writer(const File& file, const List& list, std::string_view comment, Exceptions exceptions = {});

  /// Calls f(entry) for every entry of these kinds that may stand in a list: block or hold, canonical, safe, not let through here, not
  /// twice. f says whether it wrote it; what it does not write is left out with the reason f gave by leave_out().
  void each(std::initializer_list<event::Kind> kinds, const std::function<void(const Entry&)>& f);
  /// One entry's lines (or none).
  void put(std::string_view lines);
  void leave_out(const Entry& entry, std::string reason);
  std::string& body() { return out_.body; }
  const Allowed& allowed() const { return allowed_; }
  const List& list() const { return list_; }
  Written done() { return std::move(out_); }

 private:
  bool safe(const Entry& entry) const;
  const File& file_;
  const List& list_;
  Exceptions exceptions_;
  Allowed allowed_;
  std::set<event::Observable> seen_;
  Written out_;
};

/// "list 17 of 2026-11-22T10:00:00Z for 0157, 12 entries, the next ends 2026-..., the last 2026-..."
std::string about(const File& file, const List& list);
/// Backslash before what regular expressions (PCRE, POSIX extended) read as their own, and before '/'.
std::string regex_escaped(std::string_view text);
/// A canonical URL as a pattern over a whole URL: scheme, default ports and what follows the path are open, the rest is exact.
std::string url_pattern(std::string_view canonical_url);
std::string option(const Options& options, std::string_view name, std::string_view otherwise);

}  // namespace bavn::warn::exports
