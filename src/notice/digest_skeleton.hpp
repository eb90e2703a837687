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

/// Hosts that are treated in their own way (content/never_block/shared_hosts.txt, content/notice/).
class HostLists {
 public:
  static HostLists embedded();
  /// Lists as text, one name a line; for tests.
  static Result<HostLists> parse(std::string_view shared, std::string_view fixed_words, std::string_view meeting,
                                 std::string_view free_mail);
  /// Many strangers have pages there: bio.link, docs.google.com, evil.github.io.
  bool shared(std::string_view host) const;
  /// How many leading segments of this path on a shared host are the host's own words ("forms/d/e" of docs.google.com) and no stranger's.
  std::size_t own_words(std::string_view host, std::span<const std::string_view> segments) const;
  bool meeting(std::string_view host) const;
  bool free_mail(std::string_view domain) const;

 private:
  std::set<std::string, std::less<>> shared_, meeting_, free_mail_;
  std::vector<std::pair<std::string, std::vector<std::string>>> own_words_;
};

struct Skeleton {
  std::string text;        // what is digested: "evil.example/login/{id}/#"
  std::string scheme;      // http (or https: canonical URLs do not tell), ftp, ...
  std::string host, path;  // as they may be shown: "evil.example", "/login/*/#"
  std::string plain_host;  // as it is, for what this node remembers
};

/// url: canonical (event/observable.hpp). recipients: addresses of this mail, whose names are masked wherever they stand. Empty: nothing to
/// digest (a private or local address, no host, another scheme). Links wrapped by known filters (Safe Links, URL Defense) are unwrapped.
std::optional<Skeleton> skeleton_of(std::string_view url, const HostLists& lists,
                                    std::span<const std::string> recipients);

/// By the name's ending: html, svg, archive, disk image, macro or link-bearing document, program, shortcut.
bool active_name(std::string_view file_name);
/// The name as it may be shown: digits as #, recipients' names, long and random words as *; "*.html" when nothing else is left.
std::string shown_file_name(std::string_view file_name, std::span<const std::string> recipients);
/// "Faktura 12345 til Jens" -> "faktura # til {a}"; RE:, SV:, FW:, VS: off.
std::string subject_shape(std::string_view subject, std::span<const std::string> recipients);

}  // namespace bavn::notice
