#include "exchange/stix/bundle.hpp"

#include <fmt/format.h>

#include "exchange/stix/names.hpp"
#include "exchange/tlp_marks.hpp"

namespace bavn::exchange::stix {

BundleWriter::BundleWriter(Author author, std::function<Result<void>(std::string_view piece)> write)
    : author_(std::move(author)), write_(std::move(write)) {}

Result<void> BundleWriter::begin() {
  if (begun_) return {};
  begun_ = true;
  BAVN_CHECK(write_(fmt::format(R"({{"type":"bundle","id":"bundle--{}","objects":[)", uuid5(author_.uuid, "bundle"))));
  std::string identity;
  append_identity(identity, author_);
  written_.insert(author_.identity());
  return put(identity);
}

Result<void> BundleWriter::put(std::string_view body) {
  if (any_) BAVN_CHECK(write_(","));
  any_ = true;
  return write_(body);
}

Result<void> BundleWriter::add(const match::indicators::Indicator& indicator, const Standing& at) {
  BAVN_CHECK(begin());
  for (const std::string_view id : {stix_marking(indicator.tlp), stix_marking_tlp1(indicator.tlp)})
    if (!written_.contains(id))
      for (const Marking& m : markings())
        if (m.id == id) BAVN_CHECK(add(m.id, m.body));
  if (!written_.insert(indicator_id(author_, indicator.kind, indicator.value, indicator.source)).second) return {};
  std::string body;
  append_indicator(body, author_, indicator, at);
  return put(body);
}

Result<void> BundleWriter::add(std::string_view id, std::string_view body) {
  BAVN_CHECK(begin());
  if (!written_.emplace(id).second) return {};
  return put(body);
}

Result<void> BundleWriter::finish() {
  BAVN_CHECK(begin());
  return write_("]}\n");
}

ExportView stix_view(Author author) {
  ExportView view{"application/stix+json;version=2.1", "json", {}};
  view.write = [author = std::move(author)](std::span<const Known> all, const ExportAsk& ask) -> Result<std::string> {
    std::string out;
    BundleWriter bundle(author, [&](std::string_view piece) -> Result<void> {
      out += piece;
      return {};
    });
    for (const Known& k : all)
      if (k.indicator.tlp <= ask.ceiling) BAVN_CHECK(bundle.add(k.indicator, {k.changed, k.changed, k.sectors, false}));
    BAVN_CHECK(bundle.finish());
    return out;
  };
  return view;
}

}  // namespace bavn::exchange::stix
