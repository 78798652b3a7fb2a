"""The pages, a module each kind; each page is a function of the site and the request."""
