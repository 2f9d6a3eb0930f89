"""Queries as users write them, compiled to those of the contract."""

from daystore.query.aggregates import Avg, Count, Max, Min, Sum
from daystore.query.builder import QueryBuilder
from daystore.query.conditions import Q
from daystore.query.filter import QueryFilter
from daystore.query.results import Entry, Page

__all__ = ["Avg", "Count", "Entry", "Max", "Min", "Page", "Q", "QueryBuilder", "QueryFilter", "Sum"]
