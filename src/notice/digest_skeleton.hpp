#pragma once
// What of a thing is digested and what of it may be shown: a URL's skeleton, an attachment, the shape of a subject. Two mails of one
// campaign that differ in ids, addresses, numbers, query or fragment have one skeleton. Golden files: golden/*.tsv.
// Life: values; HostLists is an immutable snapshot. Thread rules: any thread.
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::notice {

/// Hosts that are treated in their own way: content/never_block/ (shared_hosts, suffixes, free_mail), content/notice/meeting_hosts.txt.
class HostLists {
 public:
  static HostLists embedded();
  /// Lists as text, one entry a line, '#' begins a comment; for tests. shared: "host" or "host/own/words": those segments are the host's own
  /// and name no stranger ("docs.google.com/forms/d/e").
  static HostLists parse(std::string_view shared, std::string_view meeting, std::string_view free_mail);
  /// Many strangers have pages there: bio.link, docs.google.com, evil.github.io.
  bool shared(std::string_view host) const;
  /// How many leading segments of a path on a shared host are the host's own words.
  std::size_t own_words(std::string_view host, std::span<const std::string_view> segments) const;
  bool meeting(std::string_view host) const;
  bool free_mail(std::string_view domain) const;

 private:
  std::set<std::string, std::less<>> shared_, own_words_, meeting_, free_mail_;
};

struct Skeleton {
  std::string text;        // what is digested: "evil.example/login/{id}/#"
  std::string scheme;      // http (or https: canonical URLs do not tell), ftp, ...
  std::string host, path;  // as they may be shown: "evil.example", "/login/*/#"
  std::string plain_host;  // as it is, for what this node remembers
};

/// The names of those a mail went to, as they may stand in links and subjects: whole local parts, and the words of "jens.hansen".
class Names {
 public:
  Names() = default;
  explicit Names(std::span<const std::string> addresses);
  /// word: lower case.
  bool has(std::string_view word) const { return words_.contains(word); }

 private:
  std::set<std::string, std::less<>> words_;
};

/// url: canonical (event/observable.hpp). names: masked wherever they stand. Empty: nothing to digest (a private or local address, no host,
/// another scheme). Links wrapped by known filters (Safe Links, URL Defense, ...) are unwrapped.
std::optional<Skeleton> skeleton_of(std::string_view url, const HostLists& lists, const Names& names = {});

/// By the name's ending: html, svg, archive, disk image, macro or link-bearing document, program, shortcut.
bool active_name(std::string_view file_name);
/// The name as it may be shown: digits as #, recipients' names, long and random ones as "*.html".
std::string shown_file_name(std::string_view file_name, const Names& names = {});
/// "Faktura 12345 til Jens" -> "faktura # til {a}"; RE:, SV:, FW:, VS: off.
std::string subject_shape(std::string_view subject, const Names& names = {});

}  // namespace bavn::notice
