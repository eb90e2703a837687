#pragma once
// The routes of TAXII 2.1 (OASIS TAXII 2.1, sections 4 and 5) at /taxii2/. Every answer, errors too, is of the media type of TAXII, also what
// the web server itself refuses before a handler sees it (a body far above the limit, another method, no such path).
// Thread rules: as the router's.
#include <functional>
#include <string>

#include "exchange/taxii/taxii.hpp"
#include "net/http.hpp"

namespace bavn::exchange::taxii {

/// Who a request comes from; an error: nobody we know.
using Who = std::function<Result<Caller>(const net::Request&)>;

/// url: of the web address, without a slash at its end: "https://hub.example"; empty: as the request names it.
void add_taxii_routes(net::Router& router, Taxii& taxii, Who who, std::function<std::string()> url);

/// For the door of the site: what router and server refuse themselves below /taxii2 becomes an error of TAXII.
bool asked_of_taxii(const net::Request& request);
void in_taxiis_words(net::Reply& reply);

}  // namespace bavn::exchange::taxii
