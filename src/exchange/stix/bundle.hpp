#pragma once
// A STIX 2.1 bundle for files: the author's identity, the markings that are used, and the indicators. Its id and the ids inside are made
// of what is in it: the same knowledge is the same file.
// Life: one bundle. Thread rules: one thread.
#include <functional>
#include <set>
#include <string>

#include "exchange/peers/views.hpp"
#include "exchange/stix/indicator.hpp"

namespace bavn::exchange::stix {

class BundleWriter {
 public:
  /// The text is handed to `write` in pieces, so that a bundle of a million indicators needs no memory.
  BundleWriter(Author author, std::function<Result<void>(std::string_view piece)> write);
  Result<void> add(const match::indicators::Indicator& indicator, const Standing& at);
  /// An object of others, as it came: valid JSON. id: its id, which comes once.
  Result<void> add(std::string_view id, std::string_view body);
  Result<void> finish();

 private:
  Result<void> begin();
  Result<void> put(std::string_view body);
  Author author_;
  std::function<Result<void>(std::string_view)> write_;
  std::set<std::string, std::less<>> written_;
  bool begun_ = false, any_ = false;
};

/// For `bavn export`: the same ids as over TAXII.
ExportView stix_view(Author author);

}  // namespace bavn::exchange::stix
