#pragma once
// Field value + role -> observables, on the hot path: nothing is allocated for ordinary values, the sink gets views into the
// extractor's scratch (valid until the sink returns). Parents of a domain and prefixes of a URL are not emitted: lookups walk them.
// Life: one per worker, not shared. Values that are no observable of their role are silent: a log is full of "-".
#include <string>
#include <string_view>
#include <type_traits>

#include "event/field.hpp"
#include "event/observable.hpp"

namespace bavn::event {

/// A callable (Kind, canonical value) by reference; must outlive the call it is passed to.
class ObservableSink {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, ObservableSink>)
  ObservableSink(F&& f)  // NOLINT(google-explicit-constructor): a lambda at the call is the point
      : target_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* t, Kind k, std::string_view v) { (*static_cast<std::remove_reference_t<F>*>(t))(k, v); }) {}
  void operator()(Kind k, std::string_view canonical_value) const { call_(target_, k, canonical_value); }

 private:
  void* target_;
  void (*call_)(void*, Kind, std::string_view);
};

class Extractor {
 public:
  static constexpr std::size_t kLongestText = 256 * 1024;  // bytes of one free text that are looked at
  static constexpr unsigned kMostOfOneText = 4096;         // observables of one value

  /// ip            ipv4 or ipv6; several when separated by , or blanks; never 0.0.0.0 or ::
  /// domain        domain.  host_or_ip: ipv4, ipv6 or domain (names with a dot)
  /// url           url, then its host as domain, ipv4 or ipv6
  /// email(s)      email, then its mail_domain
  /// account       account; an address also as email
  /// hash, hashes  md5, sha1, sha256 ("IMPHASH=" is none of them)
  /// text          url + host, ipv4, ipv6, email + mail_domain, domain with a known top-level domain, hashes; not defanged ones
  /// url_path      nothing: see url_of
  void extract(Role role, std::string_view value, ObservableSink sink);
  /// A URL whose parts stand in different fields (proxy and web server logs): host may have a port.
  void url_of(std::string_view host, std::string_view path, ObservableSink sink);

 private:
  bool ip(std::string_view value, ObservableSink sink);
  bool url(std::string_view value, ObservableSink sink, bool any_host);
  bool email(std::string_view value, ObservableSink sink, bool with_domain);
  void emails(std::string_view value, ObservableSink sink);
  bool hash(std::string_view value, ObservableSink sink);
  void hashes(std::string_view value, ObservableSink sink);
  void text(std::string_view value, ObservableSink sink);
  void word(std::string_view w, ObservableSink sink);

  std::string out_, joined_;
};

}  // namespace bavn::event
